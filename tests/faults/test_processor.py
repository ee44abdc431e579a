"""What goes wrong with a processor: devprobe says so. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=120 fakes=yes cross=no serial=yes sanitize=no

Real: the floating-point mode that a loaded library sets, the illegal instruction, the limit of the user, the variables. Stand-ins:
the library that sets the mode, and the OpenCL driver that runs the instruction."""

import os
import pathlib
import resource
import tempfile

from judging import check, evidence, finding, finish, live, report_of

FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
NOBODY = 65534


def expect(case, report, cause, confidence, *parts):
    found = finding(report, cause)
    good = found is not None and found["confidence"] == confidence and all(part in evidence(report, cause) for part in parts)
    check(f"{case}: {cause}, {confidence}, {parts}", good, report)
    if good:
        live(cause)


def expect_none(case, report, *causes):
    for cause in causes:
        check(f"{case}: {cause}", finding(report, cause) is None, report)


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
    report = report_of({}, before=as_nobody(1))
    expect("ulimit -u 1", report, "CG-PIDS-LIMIT", "consistent", "Max processes 1, of user 65534")
    expect_none("ulimit -u 4000", report_of({}, before=as_nobody(4000)), "CG-PIDS-LIMIT")

finish()
