"""devprobe in containers with a filter of system calls, a user namespace, or libraries that do not load.
SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=300 cross=no serial=yes

Real: the containers, the filters, the namespaces, the files, every errno. Stand-ins: the device files have NVIDIA's numbers and
no driver behind them, and the CUDA driver of the tests says 304 where NVIDIA's would."""

import os
import pathlib
import re
import struct

from container import NVIDIA, Container, check, found, finding, finish, mount, not_found, not_run, require

require()
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: these device files would work")
FAKE = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes/libcuda.so.1"
if not FAKE.exists():
    not_run("the stand-in CUDA driver is not part of this build")
MACHINE = os.uname().machine
LIBRARIES = f"/usr/lib/{MACHINE}-linux-gnu"
CUDA_ASKED = {"NVIDIA_VISIBLE_DEVICES": "all"}
REFUSES = {"FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1+=304"}
EPERM = 1


def with_cuda(box, **environment):
    box.files[f"{LIBRARIES}/libcuda.so.1"] = FAKE.read_bytes()
    box.environment |= CUDA_ASKED | REFUSES | environment


def filtered(call, action, number=None):
    """A container whose filter lets everything through but one system call."""
    box = Container()
    with_cuda(box)
    box.refuse(call, action=action, number=number)
    return box


# ---- a filter of system calls --------------------------------------------------------------------------------------------

box = Container()
with_cuda(box)
report = box.probe()
not_found("304 without a filter: no filter is blamed", report, "CR-LANDLOCK-SECCOMP")

report = filtered("memfd_create", "SCMP_ACT_ERRNO", EPERM).probe()
found("memfd_create refused", report, "CR-LANDLOCK-SECCOMP", "consistent", "trying memfd_create: EPERM", "304", "Seccomp 2")
check("memfd_create refused: only that", "comm" not in str(finding(report, "CR-LANDLOCK-SECCOMP")["summary"]), report)

report = filtered("memfd_create", "SCMP_ACT_KILL_PROCESS").probe()
found("memfd_create kills", report, "CR-LANDLOCK-SECCOMP", "consistent", "trying memfd_create: ends the process with signal 31")

report = filtered("ptrace", "SCMP_ACT_ERRNO", EPERM).probe()
not_found("a filter without what CUDA needs is not blamed", report, "CR-LANDLOCK-SECCOMP")

box = Container()
with_cuda(box)
box.mounts[next(i for i, m in enumerate(box.mounts) if m["destination"] == "/proc")] = mount("/proc", "proc", "ro")
report = box.probe()
found("a read-only /proc", report, "CR-LANDLOCK-SECCOMP", "consistent", "/proc/self/task/*/comm: EROFS")

# ---- a user namespace ----------------------------------------------------------------------------------------------------------


def rootless():
    """Root of a user namespace as an engine makes it that an ordinary user starts."""
    box = Container()
    box.namespaces.append("user")
    ids = [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 999}]
    box.linux |= {"uidMappings": ids, "gidMappings": ids}
    return box


def bring_nodes(box, mode):
    for name, (major, minor) in NVIDIA.items():
        box.bring(name, (major, minor, mode), f"/dev/{name}")


box = rootless()
bring_nodes(box, 0o660)
box.allow_nvidia()
report = box.probe()
found("files of a group that does not exist here", report, "CR-ROOTLESS", "consistent", "/dev/nvidia0: EACCES; mode 0660, owner 65534:65534", "uid_map")
not_found("files of a group that does not exist here", report, "CR-NODE-DAC")

box = rootless()
bring_nodes(box, 0o666)
report = box.probe()
found("a filter around a rootless container", report, "CR-ROOTLESS", "consistent", "/dev/nvidia0: EPERM")
not_found("a filter around a rootless container", report, "CR-CGROUP-NEVER", "CR-CGROUP-LOST")

# An engine with root may map ids too (userns-remap); its filter is its own.
box = rootless()
ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
box.linux |= {"uidMappings": ids, "gidMappings": ids}
bring_nodes(box, 0o666)
report = box.probe()
found("a filter of an engine with root", report, "CR-CGROUP-NEVER", "consistent", "/dev/nvidia0: EPERM")
not_found("a filter of an engine with root", report, "CR-ROOTLESS")

box = rootless()
bring_nodes(box, 0o666)
box.allow_nvidia()
not_found("a rootless container with its rights in order", box.probe(), "CR-ROOTLESS", "CR-CGROUP-NEVER", "CR-NODE-DAC")

# ---- an old number -------------------------------------------------------------------------------------------------------------------

# The kernel's list stands in: it says what it would say after a boot that gave nvidia-uvm another number. The file is real.
box = Container()
box.nvidia_nodes()
box.allow_nvidia()
box.bring("devices", b"Character devices:\n  1 mem\n 10 misc\n195 nvidia\n510 nvidia-uvm\n\nBlock devices:\n", "/proc/devices")
report = box.probe()
found("nvidia-uvm with the number of an earlier boot", report, "CR-UVM-STALE-MAJOR", "proven", "/dev/nvidia-uvm: device number 508:0", "510 nvidia-uvm")

# ---- libraries ------------------------------------------------------------------------------------------------------------------------


def with_nodes(**environment):
    box = Container()
    box.nvidia_nodes()
    box.allow_nvidia()
    box.environment |= environment
    return box


def made_for_another(library):
    """The same library as another processor's: its ELF header says so, and no loader here takes it."""
    content = bytearray(library)
    struct.pack_into("<H", content, 18, 183 if MACHINE == "x86_64" else 62)
    return bytes(content)


box = with_nodes()
box.files[f"{LIBRARIES}/libcuda.so.1"] = made_for_another(FAKE.read_bytes())
report = box.probe()
found("a library for another processor", report, "CR-ARCH-MISMATCH", "proven", "uname")
not_found("a library for another processor", report, "CU-NO-LIBCUDA", "CR-LIB-NOT-INJECTED", "CR-LDCACHE")

box = with_nodes()
box.files[f"{LIBRARIES}/libcuda.so.550.54.14"] = b""
box.bring("libcuda", FAKE.read_bytes(), f"{LIBRARIES}/libcuda.so.550.54.14", "bind", "ro")
report = box.probe()
found("a library without its link", report, "CR-LDCACHE", "consistent", "libcuda.so.550.54.14: mounted in by the engine", "mounted read-only")
not_found("a library without its link", report, "CR-LIB-NOT-INJECTED", "CR-ARCH-MISMATCH")

report = with_nodes().probe()
found("device files without a library", report, "CR-LIB-NOT-INJECTED", "consistent", "libcuda.so.1: not found")
not_found("device files without a library", report, "CR-LDCACHE", "CR-CAPS-NO-COMPUTE")

report = with_nodes(NVIDIA_DRIVER_CAPABILITIES="utility").probe()
found("for monitoring only", report, "CR-CAPS-NO-COMPUTE", "consistent", "NVIDIA_DRIVER_CAPABILITIES: utility")
not_found("for monitoring only", report, "CR-LIB-NOT-INJECTED")

# ---- part of the files, names of no GPU ---------------------------------------------------------------------------------------------------

box = Container()
box.node("nvidia0", *NVIDIA["nvidia0"])
box.allow_nvidia()
report = box.probe()
found("one file of three", report, "CR-DEVICE-PARTIAL", "consistent", "/dev/nvidiactl: ENOENT", "/dev/nvidia-uvm: ENOENT", "/dev/nvidia0: present")

for value, cause, other in (("none", "CR-NVD-NONE", "CR-NVD-BAD-ID"), ("false", "CR-NVD-BAD-ID", "CR-NVD-NONE")):
    box = Container()
    for name in ("nvidiactl", "nvidia-uvm"):
        box.node(name, *NVIDIA[name])
    box.allow_nvidia()
    box.environment["NVIDIA_VISIBLE_DEVICES"] = value
    report = box.probe()
    found(f"NVIDIA_VISIBLE_DEVICES={value}", report, cause, "consistent", f"NVIDIA_VISIBLE_DEVICES: {value}")
    not_found(f"NVIDIA_VISIBLE_DEVICES={value}", report, other)
finish()
