"""Drivers that hang, crash or end the process: devprobe ends within its time limit and names them. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=180 fakes=yes cross=no serial=yes
The CUDA driver and one OpenCL driver are stand-ins; the machine's own OpenCL drivers must be reported all the same."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from judging import check, devprobe, finding, finish, words

DEVPROBE = devprobe()
SANITIZED = "FH_SANITIZED" in os.environ
LIMIT = 8 if SANITIZED else 4  # long enough for the drivers that are well
SLACK = 3 if SANITIZED else 1
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
BROKEN = FAKES / "libicd_fault.so"
SYSTEM_VENDORS = pathlib.Path("/etc/OpenCL/vendors")
MARK = f"FH_HANG_TEST={os.getpid()}.{time.time_ns()}"


def left_behind():
    """Processes that carry our mark, other than this one."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process.name, (process / "stat").read_text().split(") ")[-1][0]))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


def run(case, environment, *arguments, limit=LIMIT):
    name, value = MARK.split("=")
    started = time.monotonic()
    done = subprocess.run(
        [DEVPROBE, "--timeout", str(limit), *arguments],
        env=os.environ | environment | {name: value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit + 60,
        check=False,
    )
    seconds = time.monotonic() - started
    print(f"{seconds:6.2f} s  {case}")
    check(f"{case}: {seconds:.2f} s, the limit is {limit} s", seconds <= limit + SLACK, done.stdout + done.stderr)
    check(f"{case}: exit status {done.returncode}", done.returncode in (0, 1), done.stdout + done.stderr)
    time.sleep(0.05)
    check(f"{case}: processes left behind", not left_behind(), str(left_behind()))
    return done, seconds


def probe(case, environment, *arguments, limit=LIMIT):
    done, seconds = run(case, environment, "--json", *arguments, limit=limit)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"{case}: no JSON\n{done.stdout}\n{done.stderr}")
    check(f"{case}: the CPU is usable", report["devices"][0]["id"] == "cpu:0" and report["devices"][0]["usable"], report)
    return report, seconds


def opencl(report):
    return sorted(d["name"] for d in report["devices"] if d["backend"] == "opencl" and d["usable"])


def names(case, report, cause, confidence, *parts):
    found = finding(report, cause)
    check(f"{case}: no {cause}", found is not None, report)
    if not found:
        return
    check(f"{case}: {found['confidence']}, not {confidence}", found["confidence"] == confidence, found)
    for part in parts:
        check(f"{case}: '{part}' is not said", part in words(found), found)


# ---- how it is when all is well -------------------------------------------------------------------------------------------

with subprocess.Popen(["sleep", "60"], env=os.environ | dict([MARK.split("=")])) as sleeper:
    time.sleep(0.05)
    check("a process left behind is found", [pid for pid, _ in left_behind()] == [str(sleeper.pid)], str(left_behind()))
    sleeper.kill()

well, _ = probe("all is well", {})
check("all is well: the stand-in is seen, and as one", any(d["id"] == "cuda:0" and d["fake"] for d in well["devices"]), well)
check("all is well: nothing to complain of", not finding(well, "NV-DRIVER-HUNG") and not finding(well, "CL-BROKEN-ICD-CRASH"), well)
healthy = opencl(well)
print(f"         OpenCL devices of this machine: {healthy or 'none, so that they survive is not shown'}")

# ---- the CUDA driver ----------------------------------------------------------------------------------------------------------

CUDA = [  # what it does, cause, confidence, what must be said, is the time limit used up
    ("cuInit@1=hang", "NV-DRIVER-HUNG", "possible", ["not stuck in the kernel", "may hang or only be slow"], True),
    ("cuInit@1=stuck", "NV-DRIVER-HUNG", "consistent", ["state D", "stuck in the kernel"], True),
    ("cuDevicePrimaryCtxRetain@1=hang", "NV-DRIVER-HUNG", "possible", ["no answer in time"], True),
    ("cuInit@1=crash", "UNKNOWN", "possible", ["crashed", "signal 11", "libcuda.so.1"], False),
    ("cuDeviceGetCount@1=crash", "UNKNOWN", "possible", ["crashed", "signal 11", "cuInit: 0"], False),
    ("cuInit@1=exit", "UNKNOWN", "possible", ["ended its process", "libcuda.so.1"], False),
]
for fault, cause, confidence, parts, uses_limit in CUDA:
    case = f"CUDA: {fault}"
    report, seconds = probe(case, {"FOGHORN_FAKE_CUDA_FAULTS": fault})
    names(case, report, cause, confidence, *parts)
    check(f"{case}: it was given its time", not uses_limit or seconds >= LIMIT, f"{seconds} s")
    check(f"{case}: no waiting without need", uses_limit or seconds < LIMIT, f"{seconds} s")
    check(f"{case}: no usable CUDA device", not any(d["backend"] == "cuda" and d["usable"] for d in report["devices"]), report)
    check(f"{case}: OpenCL is reported all the same", opencl(report) == healthy, report)

report, seconds = probe("CUDA: slow, within the limit", {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=sleep=1"}, limit=LIMIT + 4)
check("slow: waited for", seconds >= 1 and any(d["id"] == "cuda:0" and d["usable"] for d in report["devices"]), report)
check("slow: no accusation", not finding(report, "NV-DRIVER-HUNG"), report)

report, _ = probe("CUDA: hangs, and was expected", {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=hang"}, "--expect", "cuda>=1")
first = report["findings"][0]
check("expected: an error, first", first["id"] == "NV-DRIVER-HUNG" and first["severity"] == "error" and report["wrong"], report)

done, _ = run("CUDA: hangs, on the screen", {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=hang"})
check("the screen names it", "NV-DRIVER-HUNG" in done.stdout and "LIMITED" in done.stdout, done.stdout)

# ---- OpenCL drivers --------------------------------------------------------------------------------------------------------------

OPENCL = [
    ("crash", "proven", ["crashes", "signal 6"], False),
    ("exit", "proven", ["ends the process"], False),
    ("hang", "consistent", ["does not answer in time"], True),
    ("stuck", "consistent", ["hangs", "stuck in the kernel"], True),
    ("load-crash", "proven", ["crashes", "signal 6"], False),
    ("load-exit", "proven", ["ends the process"], False),
    ("load-hang", "consistent", ["does not answer in time"], True),
]
with tempfile.TemporaryDirectory(prefix="foghorn-icd.") as vendors:
    for file in SYSTEM_VENDORS.glob("*.icd"):
        shutil.copy(file, vendors)
    (pathlib.Path(vendors) / "broken.icd").write_text(f"{BROKEN}\n")
    for number, (fault, confidence, parts, uses_limit) in enumerate(OPENCL):
        variable = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH")[number % 2]  # of ocl-icd, of Khronos's loader
        case = f"OpenCL: {fault}, by {variable}"
        report, seconds = probe(case, {variable: vendors, "FH_FAKE_ICD": fault})
        names(case, report, "CL-BROKEN-ICD-CRASH", confidence, f"{vendors}/broken.icd", str(BROKEN), *parts)
        rejected = [d for d in report["devices"] if d["id"] == "opencl:broken.icd"]
        check(f"{case}: rejected by name", len(rejected) == 1 and rejected[0]["cause"] == "CL-BROKEN-ICD-CRASH", report)
        check(f"{case}: the others are reported", opencl(report) == healthy, report)
        check(f"{case}: it was given its time", not uses_limit or seconds >= LIMIT, f"{seconds} s")
        check(f"{case}: no waiting without need", uses_limit or seconds < LIMIT, f"{seconds} s")

    # Several at once share one time limit.
    (pathlib.Path(vendors) / "another.icd").write_text(f"{BROKEN}\n")
    both = {"OCL_ICD_VENDORS": vendors, "FH_FAKE_ICD": "hang", "FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=hang"}
    report, _ = probe("CUDA and two OpenCL drivers hang", both)
    names("all hang", report, "NV-DRIVER-HUNG", "possible")
    broken = sorted(f["device"] for f in report["findings"] if f["id"] == "CL-BROKEN-ICD-CRASH")
    check("all hang: both are named", broken == ["opencl:another.icd", "opencl:broken.icd"], report)
    check("all hang: the others are reported", opencl(report) == healthy, report)

finish()
