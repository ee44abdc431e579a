"""The same question with one thing changed: devprobe proves what hides a device. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 fakes=yes cross=no serial=yes sanitize=no

Real: the variables, limits, .icd files, OpenCL's loader and PoCL, every child process. Stand-ins: the CUDA driver (its two GPUs,
its codes) and, where a case says so, an OpenCL driver or loader of the tests. Addresses are limited for real, which a sanitizer
could not survive."""

import os
import pathlib
import resource
import shutil
import tempfile
import time

import judging
from judging import check, finding, finish, live, words

DEVPROBE = judging.devprobe()
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
VENDORS = pathlib.Path("/etc/OpenCL/vendors")
GIB = 1 << 30
TIMEOUT = 3
TWO_GPUS = {"FOGHORN_FAKE_CUDA": "devices=2"}


def limit_addresses(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def report_of(environment, *arguments, before=None):
    return judging.report_of(environment, "--timeout", str(TIMEOUT), *arguments, before=before)


def names(case, environment, cause, confidence, *parts, before=None, mark=None):
    """The cause is named with this confidence, and these words are said; then it counts as seen live."""
    report = report_of(environment, before=before)
    found = finding(report, cause)
    if not found:
        check(f"{case}: no {cause}", False, report)
        return report
    good = found["confidence"] == confidence and all(part in words(found) for part in parts)
    check(f"{case}: expected {confidence} and {parts}", good, found)
    if good:
        live(mark or cause)
    return report


def silent(case, environment, *causes, before=None):
    report = report_of(environment, before=before)
    for cause in causes:
        check(f"{case}: {cause} is named", finding(report, cause) is None, report)
    return report


# ---- CUDA_VISIBLE_DEVICES -------------------------------------------------------------------------------------------------

FILTERS = ("CU-CVD-EMPTY", "CU-CVD-TRUNCATED", "CU-CVD-BADUUID", "CU-CVD-MIG", "CU-CVD-INHERITED")
ASKED = {"NVIDIA_VISIBLE_DEVICES": "all"}
WITHOUT = "asked again without CUDA_VISIBLE_DEVICES: it works"


def visible(value, **more):
    return TWO_GPUS | ASKED | {"CUDA_VISIBLE_DEVICES": value} | more


silent("no filter", TWO_GPUS, *FILTERS)
silent("a filter that works", visible("1"), *FILTERS)
names("empty", visible(""), "CU-CVD-EMPTY", "proven", WITHOUT, mark="CU-CVD-EMPTY stand-in")
names("-1", visible("-1"), "CU-CVD-TRUNCATED", "proven", WITHOUT, "'-1' is no GPU", mark="CU-CVD-TRUNCATED stand-in")
names("past the last", visible("7"), "CU-CVD-TRUNCATED", "proven", WITHOUT, "'7' is past the last GPU", mark="CU-CVD-TRUNCATED stand-in")
names("the second entry", visible("1,99,0"), "CU-CVD-TRUNCATED", "proven", "shows 1 GPU: entry 2, '99'", mark="CU-CVD-TRUNCATED stand-in")
names("another UUID", visible("GPU-deadbeef"), "CU-CVD-BADUUID", "proven", WITHOUT, mark="CU-CVD-BADUUID stand-in")
names("a slice", visible("MIG-deadbeef"), "CU-CVD-MIG", "proven", WITHOUT, mark="CU-CVD-MIG stand-in")
names("Slurm's number", visible("5", SLURM_JOB_ID="1", SLURM_JOB_GPUS="5"), "CU-CVD-INHERITED", "proven", WITHOUT, mark="CU-CVD-INHERITED stand-in")
names("a scheduler, and a list of its own", visible("5", SLURM_JOB_ID="1"), "CU-CVD-INHERITED", "consistent", WITHOUT, mark="CU-CVD-INHERITED stand-in")
# No device with or without the filter: it is not to blame.
silent("refuted", visible("5") | {"FOGHORN_FAKE_CUDA": "devices=0"}, *FILTERS)

# The second question hangs: the first answer stands, the whole takes no longer than the limit.
started = time.monotonic()
report = report_of(visible("", FOGHORN_FAKE_CUDA_FAULTS="cuDeviceGet@1=hang"))
check("the second question hangs: the time limit holds", time.monotonic() - started < TIMEOUT + 1.5, f"{time.monotonic() - started} s")
found = finding(report, "CU-CVD-EMPTY")
check("the second question hangs: nothing is claimed to be proven", found is None or found["confidence"] == "possible", report)

# ---- the library, the limit of addresses -----------------------------------------------------------------------------------

with tempfile.TemporaryDirectory(prefix="foghorn-stubs.") as folder:
    stubs = pathlib.Path(folder) / "stubs"
    stubs.mkdir()
    shutil.copy(FAKES / "libcuda_code.so", stubs / "libcuda.so.1")
    stub = {"LD_LIBRARY_PATH": str(stubs), "NVIDIA_VISIBLE_DEVICES": "all"}
    names("a stub", stub, "CU-STUB", "proven", str(stubs / "libcuda.so.1"), mark="CU-STUB stand-in")
    compat = {"LD_LIBRARY_PATH": str(stubs), "NVIDIA_VISIBLE_DEVICES": "all", "FH_FAKE_CUDA_CODE": "804"}
    names("not allowed on this card", compat, "CU-COMPAT-804", "consistent", "804", mark="CU-COMPAT-804 stand-in")
    silent("803 without a compat folder", compat | {"FH_FAKE_CUDA_CODE": "803"}, "CU-COMPAT-803")

if os.uname().machine == "x86_64" and " sse4_2 " in pathlib.Path("/proc/cpuinfo").read_text():
    # The loader takes the copy for better processors first: devprobe must look where it looks.
    with tempfile.TemporaryDirectory(prefix="foghorn-hwcaps.") as folder:
        better = pathlib.Path(folder) / "stubs/glibc-hwcaps/x86-64-v2"
        better.mkdir(parents=True)
        shutil.copy(FAKES / "libcuda_code.so", better / "libcuda.so.1")
        stub = {"LD_LIBRARY_PATH": str(better.parent.parent), "NVIDIA_VISIBLE_DEVICES": "all"}
        names("a stub for better processors", stub, "CU-STUB", "proven", f"{better}/libcuda.so.1: a stub", "34", mark="CU-STUB stand-in")

RESERVES = ASKED | {"FOGHORN_FAKE_CUDA": "devices=1,addresses=64GiB"}
names("ulimit -v", RESERVES, "CU-OOM-HOST-VA", "proven", "it works", "8192 MiB", before=limit_addresses(8 * GIB, resource.RLIM_INFINITY), mark="CU-OOM-HOST-VA stand-in")
names("a hard ulimit -v", RESERVES, "CU-OOM-HOST-VA", "consistent", "8192 MiB", before=limit_addresses(8 * GIB, 8 * GIB), mark="CU-OOM-HOST-VA stand-in")
full = ASKED | {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1+=2"}
silent("code 2 of another reason", full, "CU-OOM-HOST-VA", before=limit_addresses(8 * GIB, resource.RLIM_INFINITY))
silent("code 2 without a limit", full, "CU-OOM-HOST-VA")

# ---- OpenCL -----------------------------------------------------------------------------------------------------------------

POCL = any("pocl" in file.read_text() for file in VENDORS.glob("*.icd")) if VENDORS.is_dir() else False
if not POCL:
    print("NOT RUN: the part about PoCL: it is not installed")
else:
    OPENCL = ("CL-VENDORS-OVERRIDE", "CL-WRONG-LOADER", "CL-ZERO-DEVICES", "CL-POCL-SHAPE", "CL-NO-LOADER")
    silent("PoCL as it is", {}, *OPENCL)
    names("a folder that is not there", {"OCL_ICD_VENDORS": "/nowhere"}, "CL-VENDORS-OVERRIDE", "proven", "without OCL_ICD_VENDORS: it works")
    names("no devices", {"POCL_DEVICES": ""}, "CL-POCL-SHAPE", "proven", "leave it without a device")
    names("a cache that cannot be written", {"POCL_CACHE_DIR": "/proc/nowhere"}, "CL-POCL-SHAPE", "proven", "POCL_CACHE_DIR: /proc/nowhere")
    if len(os.sched_getaffinity(0)) > 1:
        report = report_of({})
        if report["cpu"]["usable"] > 1:
            names("one thread", {"POCL_MAX_PTHREAD_COUNT": "1"}, "CL-POCL-SHAPE", "proven", "use 1 of the")
    report = report_of({}, "--expect", "gpu")
    posing = finding(report, "CL-CPU-POSING")
    check("PoCL is no GPU", posing is not None and posing["confidence"] == "proven" and report["wrong"], report)
    if posing:
        live("CL-CPU-POSING")
    with tempfile.TemporaryDirectory(prefix="foghorn-loader.") as folder:
        shutil.copy(FAKES / "libopencl_loader.so", pathlib.Path(folder) / "libOpenCL.so.1")
        path = {"LD_LIBRARY_PATH": f"{folder}:{FAKES}"}
        names("another loader first", path, "CL-WRONG-LOADER", "proven", folder, "0 platforms", "1 platforms", mark="CL-WRONG-LOADER stand-in")

with tempfile.TemporaryDirectory(prefix="foghorn-vendors.") as folder:
    vendors = pathlib.Path(folder)
    only = {"OCL_ICD_VENDORS": folder}
    (vendors / "gone.icd").write_text("libno-such-driver.so.1\n")
    names("a library that is gone", only, "CL-ICD-LIB-MISSING", "proven", "libno-such-driver.so.1")
    (vendors / "gone.icd").write_text(f"{FAKES / 'libicd_fault.so'} \r\n")
    names("a blank and a return after the name", only, "CL-ICD-LIB-MISSING", "proven", "libicd_fault.so")
    (vendors / "gone.icd").write_text(f"{FAKES / 'libicd_fault.so'}\n")
    for fault, code in (("no-devices", "-1"), ("none", "-1001")):
        names(f"zero devices: {fault}", only | {"FH_FAKE_ICD": fault}, "CL-ZERO-DEVICES", "consistent", code, mark="CL-ZERO-DEVICES stand-in")
        silent(f"zero devices: {fault}: it was loaded", only | {"FH_FAKE_ICD": fault}, "CL-ICD-LIB-MISSING")

finish()
