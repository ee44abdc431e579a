"""Libraries that lie where the loader of a container does not look, or before those that it should find.
SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes sanitize=no

Real: the containers, their files, the loader and its search, every child process. Stand-ins: the CUDA driver, the driver that
only says a code, the OpenCL driver."""

import os
import pathlib

from container import Container, check, evidence, finding, finish, found, live, not_found, not_run, require

require()
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
DRIVER, CODE, ICD = FAKES / "libcuda.so.1", FAKES / "libcuda_code.so", FAKES / "libicd_fault.so"
if not all(file.exists() for file in (DRIVER, CODE, ICD)):
    not_run("the stand-in drivers are not part of this build")
AGAIN = "asked again with the other libcuda first in LD_LIBRARY_PATH: it works"


def box_with(files, **environment):
    box = Container()
    box.files |= {path: library.read_bytes() for path, library in files.items()}
    box.environment |= {"NVIDIA_VISIBLE_DEVICES": "all"} | environment
    return box


def found_by_code(case, report, cause, *said):
    """The cause rests on a code that a stand-in says."""
    hit = finding(report, cause)
    good = hit is not None and hit["confidence"] == "proven" and all(words in evidence(report, cause) for words in (AGAIN, *said))
    check(f"{case}: {cause}", good, report)
    if good:
        live(f"{cause} stand-in")


report = box_with({"/usr/local/nvidia/lib64/libcuda.so.1": DRIVER}, LD_LIBRARY_PATH="/opt/app/lib").probe()
found("a cloud's folder", report, "CU-LIBPATH-CLOUD", "proven", AGAIN, "/usr/local/nvidia/lib64/libcuda.so.1")
not_found("a cloud's folder: it was passed in", report, "CR-LIB-NOT-INJECTED")

report = box_with({"/usr/local/nvidia/lib64/libcuda.so.1": DRIVER}, LD_LIBRARY_PATH="/usr/local/nvidia/lib64").probe()
not_found("a cloud's folder in LD_LIBRARY_PATH", report, "CU-LIBPATH-CLOUD")
check("a cloud's folder in LD_LIBRARY_PATH: found", any(d["id"] == "cuda:0" and d["fake"] for d in report["devices"]), report)

report = box_with({"/run/opengl-driver/lib/libcuda.so.1": DRIVER}).probe()
found("NixOS's folder", report, "CU-LIBPATH-NIX", "proven", AGAIN, "/run/opengl-driver/lib/libcuda.so.1")

both = {"/usr/local/cuda/compat/libcuda.so.1": CODE, "/usr/local/nvidia/lib64/libcuda.so.1": DRIVER}
for code, cause in (("803", "CU-COMPAT-803"), ("804", "CU-COMPAT-804")):
    report = box_with(both, LD_LIBRARY_PATH="/usr/local/cuda/compat", FH_FAKE_CUDA_CODE=code).probe()
    found_by_code(f"the compat folder first: {code}", report, cause, code, "/usr/local/cuda/compat/libcuda.so.1")

stubs = {"/usr/local/cuda/lib64/stubs/libcuda.so.1": CODE, "/usr/local/nvidia/lib64/libcuda.so.1": DRIVER}
report = box_with(stubs, LD_LIBRARY_PATH="/usr/local/cuda/lib64/stubs").probe()
found_by_code("a stub before the driver", report, "CU-STUB", "34 CUDA_ERROR_STUB_LIBRARY")

# ---- OpenCL without its loader: the container has nothing but devprobe and one driver --------------------------------------------

box = box_with({"/opt/libdriver.so": ICD})
box.files["/etc/OpenCL/vendors/driver.icd"] = b"/opt/libdriver.so\n"
report = box.probe()
found("no loader", report, "CL-NO-LOADER", "consistent", "/etc/OpenCL/vendors/driver.icd", "libOpenCL.so.1: not found")
check("no loader: the driver itself works", any(d["id"] == "opencl:0" and d["usable"] for d in report["devices"]), report)

finish()
