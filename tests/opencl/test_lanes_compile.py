#!/usr/bin/python3
"""Every text with its lanes in work-items is what each vendor's compiler is told it is: clang compiles it for SPIR-V with the sub-group
extensions, for AMD's and for NVIDIA's processors, and ptxas assembles what becomes of the last. SPDX-License-Identifier: Apache-2.0
TEST: label=full plain=yes timeout=600"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["FH_SOURCE_DIR"], "tests/ptx"))
import assembly

BUILD = pathlib.Path(os.environ["FH_BINARY_DIR"])
SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])
COMMON = ["-x", "cl", "-ffp-contract=off", "-Werror", "-Wno-incompatible-pointer-types", "-S"]
# By how lanes exchange values: what the backend asks for, and what the compiler stands for.
FORMS = {
    "KHR": ["-target", "spir64", "-emit-llvm", "-cl-std=CL3.0"],
    # Intel's functions are in the whole header alone, which takes a second to read.
    "INTEL": ["-target", "spir64", "-emit-llvm", "-cl-std=CL2.0", "-cl-no-stdinc", "-Xclang", "-finclude-default-header"],
    "AMD": ["-target", "amdgcn-amd-amdhsa", "-mcpu=gfx90a", "-nogpulib", "-O1", "-cl-std=CL1.2"],
    "NVIDIA": ["-target", "nvptx64-nvidia-cuda", "-march=sm_70", "-Xclang", "-target-feature", "-Xclang", "+ptx60", "-nogpulib", "-O1",
               "--cuda-path=/nonexistent", "-Wno-unknown-cuda-version", "-cl-std=CL1.2"],
}
INTEL_TEXTS = ("softmax", "dot_f64", "histogram", "topk")


def find_clang():
    found = re.search(r"^FOGHORN_CLANG:FILEPATH=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found and shutil.which(found.group(1))


def text_of(name):
    """As the build makes PTX of it, behind the other preludes."""
    text = (BUILD / "kernels" / f"{name}.cl").read_text()
    here = SOURCE / "kernels/dialect"
    lanes = f'#include "{here}/lanes_in_threads.h"\n'
    assert lanes in text, text
    return f'#include "{here}/prelude_cl_lanes.h"\n{lanes}' + text.replace(lanes, "").replace("prelude_ptx.h", "prelude_cl.h")


def compile_text(clang, form, name, out):
    return subprocess.run([clang, *COMMON, *FORMS[form], f"-DFH_LANES_BY_{form}", f"-I{SOURCE}", "-o", out, "-"], input=text_of(name), text=True,
                          capture_output=True, check=False)


def check_form(clang, ptxas, form, names, folder):
    faults = []
    for name in names:
        out = str(pathlib.Path(folder, "out"))
        result = compile_text(clang, form, name, out)
        if result.returncode == 0 and form == "NVIDIA" and ptxas:
            # -c: get_num_groups and the like are left to NVIDIA's own library.
            result = subprocess.run([ptxas, "-c", "-arch=sm_80", "-o", os.devnull, out], text=True, capture_output=True, check=False)
        if result.returncode:
            faults.append(f"{name} by {form}:\n{result.stderr[:2000]}")
    print(f"{form}: {len(names)} texts, {len(faults)} refused")
    return faults


clang = find_clang()
if not clang or not (BUILD / "kernels/axpy.cl").exists():
    print("NOT RUN: no clang here, or a build without PTX: no text was compiled")
    sys.exit(77)
assembler = assembly.assembler_for(assembly.find_assemblers(), "sm_80")
if not assembler:
    print("NOT RUN: no ptxas here: what becomes of shfl.sync was not assembled")
ptxas = assembler and assembler.path
names = re.findall(r"^FH_KERNEL\((\w+),", (SOURCE / "kernels/kernels.def").read_text(), re.MULTILINE)
assert len(names) > 50, names
with tempfile.TemporaryDirectory() as folder:
    faults = []
    for form in FORMS:
        faults += check_form(clang, ptxas, form, INTEL_TEXTS if form == "INTEL" else names, folder)
    FORMS["KHR"][-1] = "-cl-std=CL1.2"  # which has no sub-groups: refused, or nothing above was looked at
    assert compile_text(clang, "KHR", "softmax", os.devnull).returncode
for fault in faults:
    print("FAIL", fault)
sys.exit(1 if faults else 0)
