"""What goes wrong with a processor: devprobe says so. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=120 fakes=yes cross=no serial=yes sanitize=no

Real: the floating-point mode that a loaded library sets, the illegal instruction, the limit of the user, the variables. Stand-ins:
the library that sets the mode, and the OpenCL driver that runs the instruction."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

DEVPROBE = os.environ.get("DEVPROBE")
if not DEVPROBE:
    print("NOT RUN: devprobe is not part of this build")
    sys.exit(77)
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
NOBODY = 65534
failures = 0


def live(cause):
    """Writes down that this cause was named on a machine that really had it."""
    if os.environ.get("FH_LIVE_CAUSES"):
        with open(os.environ["FH_LIVE_CAUSES"], "a", encoding="utf-8") as file:
            file.write(cause + "\n")


def report_of(environment, before=None):
    done = subprocess.run(
        [DEVPROBE, "--json"],
        env=os.environ | environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"devprobe with {environment}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def finding(report, cause):
    return next((f for f in report["findings"] if f["id"] == cause), None)


def expect(case, report, cause, confidence, *words):
    global failures
    found = finding(report, cause)
    said = "\n".join(f"{e['source']}: {e['value']}" for e in found["evidence"]) if found else ""
    if found and found["confidence"] == confidence and all(word in said for word in words):
        live(cause)
        return
    failures += 1
    print(f"FAILED: {case}: {cause}, {confidence}, {words}\n{json.dumps(report, indent=1)}")


def expect_none(case, report, *causes):
    global failures
    for cause in causes:
        if finding(report, cause):
            failures += 1
            print(f"FAILED: {case}: {cause}\n{json.dumps(report, indent=1)}")


quiet = report_of({})
expect_none("nothing is wrong", quiet, "CPU-DENORMALS", "CPU-SIGILL", "CPU-ISA-BUILD-GAP", "CG-PIDS-LIMIT", "CPU-EMULATED")

# ---- a library that makes tiny numbers zero ---------------------------------------------------------------------------------------

preload = str(FAKES / "libdenormals.so")
report = report_of({"LD_PRELOAD": preload})
expect("a preloaded library", report, "CPU-DENORMALS", "proven", preload, "asked again without LD_PRELOAD")

# ---- an illegal instruction in a driver ----------------------------------------------------------------------------------------------

with tempfile.TemporaryDirectory(prefix="foghorn-test-") as vendors:
    pathlib.Path(vendors, "fault.icd").write_text(f"{FAKES}/libicd_fault.so\n")
    report = report_of({"OCL_ICD_VENDORS": vendors, "FH_FAKE_ICD": "illegal"})
    expect("an OpenCL driver for a newer processor", report, "CPU-SIGILL", "consistent", "signal 4 (SIGILL)")
    report = report_of({"OCL_ICD_VENDORS": vendors, "FH_FAKE_ICD": "crash"})
    expect_none("an OpenCL driver that crashes otherwise", report, "CPU-SIGILL")

# ---- a variable that keeps libraries below ----------------------------------------------------------------------------------------------

if quiet["cpu"]["isa"] in ("avx2", "avx512"):
    report = report_of({"ONEDNN_MAX_CPU_ISA": "SSE41"})
    expect("a variable left behind", report, "CPU-ISA-BUILD-GAP", "consistent", "ONEDNN_MAX_CPU_ISA: SSE41")
    expect_none("a variable that allows all", report_of({"ONEDNN_MAX_CPU_ISA": "ALL"}), "CPU-ISA-BUILD-GAP")

# ---- the limit of a user ------------------------------------------------------------------------------------------------------------------


def as_nobody(processes):
    def before():
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)

    return before


if os.geteuid() == 0 and len(os.sched_getaffinity(0)) > 1:
    report = report_of({}, as_nobody(1))
    expect("ulimit -u 1", report, "CG-PIDS-LIMIT", "consistent", "Max processes 1, of user 65534")
    expect_none("ulimit -u 4000", report_of({}, as_nobody(4000)), "CG-PIDS-LIMIT")

print(f"{failures} failures")
sys.exit(1 if failures else 0)
