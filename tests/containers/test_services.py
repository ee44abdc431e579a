"""devprobe in what confines programs outside of containers: units of systemd, jobs of Slurm, Landlock, bans on generated code.
SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes sanitize=no

Real: control groups with a unit's name and their device filter, a private /dev, Landlock, PR_SET_MDWE, every errno. Stand-ins: no
systemd and no Slurm started these programs, a test did as they do and set their variables; the device files have NVIDIA's numbers
and no driver behind them. crun serves to change the root and the group: no other namespace is new, so this is no container."""

import ctypes
import errno
import os
import pathlib
import re

from container import NVIDIA, Container, check, found, mount, not_found, not_run, report_of, require, finish

require()
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: these device files would work")
INSIDE = {"pid:[4026531836]": "/proc/self/ns/pid", "cgroup:[4026531835]": "/proc/self/ns/cgroup"}
if any(os.readlink(link) != first for first, link in INSIDE.items()):
    not_run("the tests themselves run in a container, which would be seen")
FAKE = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes/libcuda.so.1"
if not FAKE.exists():
    not_run("the stand-in CUDA driver is not part of this build")
WITH_NVIDIA = b"Character devices:\n  1 mem\n 10 misc\n195 nvidia\n508 nvidia-uvm\n\nBlock devices:\n"
CAN_LANDLOCK = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) > 0


def process(unit, **environment):
    """A program of this machine in a control group of its own."""
    box = Container(host=True)
    box.namespaces = ["mount", "uts"]
    box.unit = unit
    box.environment |= environment
    return box


def service(**more):
    return process("ollama.service", INVOCATION_ID="5f3b2c1a0d4e4a6b", **more)


# ---- systemd ----------------------------------------------------------------------------------------------------------

box = service()
report = box.probe()
check("a service: platform", report["platform"]["kind"] == "systemd" and not report["platform"]["container"], report)
not_found("a service of which nobody expects a GPU", report, "CR-SYSTEMD-SANDBOX")

box = service()
box.nvidia_nodes()
report = box.probe()
found("DevicePolicy=closed", report, "CR-SYSTEMD-SANDBOX", "consistent", "/dev/nvidia0: EPERM", "/dev/nvidiactl: EPERM")
not_found("DevicePolicy=closed", report, "CR-CGROUP-NEVER", "CR-CGROUP-LOST")

box = service(NVIDIA_VISIBLE_DEVICES="all")
box.bring("devices", WITH_NVIDIA, "/proc/devices")  # the kernel's list stands in: a machine whose driver is loaded
report = box.probe()
found("PrivateDevices=yes", report, "CR-SYSTEMD-SANDBOX", "consistent", "PrivateDevices", "ENOENT")

NO_GENERATED_CODE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    sys.exit(100)
os.execv(sys.argv[1], sys.argv[1:])
"""
status, out, err = service().run("/usr/bin/python3", "-c", NO_GENERATED_CODE, "/devprobe", "--json")
if status == 100:
    print("left out: this kernel is older than 6.3 and has no PR_SET_MDWE")
else:
    report = report_of(status, out, err)
    found("MemoryDenyWriteExecute=yes", report, "CR-SYSTEMD-SANDBOX", "consistent", "execute memory that was written: EACCES")
    check("MemoryDenyWriteExecute=yes: nothing is wrong for who expects no GPU", not report["wrong"] and report["verdict"] == "OK", report)

# ---- Slurm --------------------------------------------------------------------------------------------------------------


def job(**environment):
    box = process("job_4711", SLURM_JOB_ID="4711", **environment)
    box.nvidia_nodes()
    box.allow_nvidia()
    box.resources["devices"].append({"allow": False, "type": "c", "major": 195, "minor": 0, "access": "rwm"})
    for minor in (254, 255):
        box.resources["devices"].append({"allow": True, "type": "c", "major": 195, "minor": minor, "access": "rwm"})
    return box


def without_wildcard(box):
    """Rules of version 1 have no exceptions from a wildcard: each number is allowed by itself."""
    box.resources["devices"] = [{"allow": False, "access": "rwm"}] + [
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"} for major, minor in ((195, 255), (508, 0), (1, 3))
    ]
    return box


report = without_wildcard(job()).probe()
found("a job without a GPU", report, "CR-SLURM-NO-GPU", "consistent", "SLURM_JOB_ID: 4711", "/dev/nvidia0: EPERM")
check("a job without a GPU: no error, nobody asked", not report["wrong"], report)
not_found("a job without a GPU", report, "CR-CGROUP-NEVER")

report = without_wildcard(job(SLURM_JOB_GPUS="0")).probe()
not_found("a job that was given the GPU and cannot open it", report, "CR-SLURM-NO-GPU")
check("a job that was given the GPU: an error", report["wrong"], report)

# ---- Landlock --------------------------------------------------------------------------------------------------------------

LANDLOCKED = """
import ctypes, os, struct, sys
CREATE, ADD, RESTRICT, WRITE, READ, READ_DIR = 444, 445, 446, 1 << 1, 1 << 2, 1 << 3
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        sys.exit(101)
    return result
rights = struct.pack("<Q", WRITE | READ | READ_DIR)
ruleset = call(CREATE, rights, len(rights), 0)
for place in sys.argv[1].split(":"):
    path, _, mode = place.partition("=")
    folder = os.path.isdir(path)
    allowed = (READ | (WRITE if mode == "rw" else 0)) | (READ_DIR if folder else 0)
    call(ADD, ruleset, 1, struct.pack("<Qi", allowed, os.open(path, os.O_PATH)), 0)
call(RESTRICT, ruleset, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""
BASE = "/usr=r:/etc=r:/sys=r:/tmp=rw:/devprobe=r:/dev/null=rw"


def landlocked(box, places):
    return report_of(*box.run("/usr/bin/python3", "-c", LANDLOCKED, places, "/devprobe", "--json"))


if not CAN_LANDLOCK:
    print(f"left out: this kernel has no Landlock ({os.strerror(ctypes.get_errno() or errno.ENOSYS)})")
else:
    box = Container(host=True)
    box.nvidia_nodes()
    box.allow_nvidia()
    report = landlocked(box, BASE + ":/proc=rw")
    found("a policy without the device files", report, "CR-LANDLOCK-SECCOMP", "possible", "/dev/nvidia0: EACCES, though mode 0666", "NoNewPrivs 1")
    not_found("a policy without the device files", report, "CR-NODE-DAC", "CR-NODE-NODEV", "CR-SELINUX", "CR-CGROUP-NEVER")

    box = Container(host=True)
    box.files["/fakes/libcuda.so.1"] = FAKE.read_bytes()
    box.environment |= {"LD_LIBRARY_PATH": "/fakes", "NVIDIA_VISIBLE_DEVICES": "all", "FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1+=304"}
    report = landlocked(box, BASE + ":/fakes=r:/proc=r")
    found("a policy with a read-only /proc", report, "CR-LANDLOCK-SECCOMP", "consistent", "/proc/self/task/*/comm: EACCES", "304")
finish()
