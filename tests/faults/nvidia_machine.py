"""A machine that looks as if it had NVIDIA's driver, for tests with the stand-in libraries. SPDX-License-Identifier: Apache-2.0

A mount namespace and a root of its own, in which /sys/bus/pci/devices, /proc/driver, /proc/devices and the like are folders that a
test fills, and the device nodes of NVIDIA's lead to /dev/null. The kernel, processes, libraries and calls are real; what is
shown here as a cause is shown on a stand-in, and recorded as such."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from judging import not_run

ENTERED = "FH_TEST_ROOT"
PRETENDED = {  # where a folder of the test's own lies over the machine's
    "pci": "sys/bus/pci/devices",
    "driver": "proc/driver",
    "module": "sys/module",
    "power": "sys/power",
    "security": "sys/kernel/security",
}
RELEASE = os.uname().release
DEVICES = "Character devices:\n  1 mem\n  1 nvidia\n  1 nvidiactl\n  1 nvidia-uvm\n  1 nvidia-caps\n\nBlock devices:\n"
REGIONS = (
    "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n"
    "0x0000004000000000 0x0000004fffffffff 0x000000000014220c\n"
    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
)
NULL = (1, 3)


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def make_root(root):
    """The machine's own programs and libraries; everything that tells of devices is ours."""
    mount("-t", "tmpfs", "none", root)
    for name in ("usr", "etc", "work", "proc", "sys", "dev", "tmp", "var/lib/dpkg", "lib", "build", "source"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("usr", "etc"):
        mount("--rbind", f"/{name}", root / name)
    for name in ("bin", "sbin", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for entry in pathlib.Path("/usr/lib").iterdir():  # a folder of links, so that modules can be beside them
        if entry.name != "modules":
            (root / "lib" / entry.name).symlink_to(f"../usr/lib/{entry.name}")
    mount("--rbind", os.environ["FH_BINARY_DIR"], root / "build")
    mount("--rbind", "/proc", root / "proc")
    mount("--rbind", "/sys", root / "sys")
    for path in PRETENDED.values():
        if not (root / path).is_dir():
            not_run(f"this kernel has no /{path} that a folder could lie over")
        mount("-t", "tmpfs", "none", root / path)
    for name in ("devices", "uptime"):
        (root / f"tmp/{name}").touch()
        mount("--bind", root / f"tmp/{name}", root / f"proc/{name}")


def enter():
    """Starts this test again in a namespace of its own; returns there."""
    if ENTERED not in os.environ:
        if os.geteuid() != 0:
            not_run("mounting needs root")
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
            not_run("no mount namespace can be made here")
        with tempfile.TemporaryDirectory(prefix="foghorn-nvidia.") as root:
            inside = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
            sys.exit(subprocess.run(inside, env=os.environ | {ENTERED: root}, check=False).returncode)
    make_root(pathlib.Path(os.environ[ENTERED]))


class Machine:
    """One card (or two) of NVIDIA's, all in order; files and nodes can be changed before it is looked at."""

    def __init__(self, cards=1):
        self.root = pathlib.Path(os.environ[ENTERED])
        self.environment = {}
        for path in [*PRETENDED.values(), "dev", "lib/modules", "lib/firmware", "var/lib/dpkg", "tmp/nvidia-mps"]:
            self.clear(path)
        self.file("proc/devices", DEVICES)
        self.file("proc/uptime", "90000.00 90000.00\n")
        self.file("sys/power/suspend_stats/success", "0\n")
        self.file("sys/module/nvidia_uvm/parameters/uvm_disable_hmm", "N\n")
        self.file("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n")
        self.node("null")
        for name in ("nvidiactl", "nvidia-uvm"):
            self.node(name)
        for index in range(cards):
            self.card(index)

    def clear(self, path):
        folder = self.root / path
        if folder.is_symlink():
            folder.unlink()
        for entry in folder.iterdir() if folder.is_dir() else []:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def file(self, path, content):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def without(self, path):
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    def node(self, name, number=NULL):
        place = self.root / "dev" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(place, 0o020666, os.makedev(*number))

    def pci(self, index):
        return f"sys/bus/pci/devices/0000:{index + 1:02x}:00.0"

    def card(self, index):
        address = f"0000:{index + 1:02x}:00.0"
        for name, text in {"vendor": "0x10de", "device": "0x20b0", "class": "0x030200"}.items():
            self.file(f"{self.pci(index)}/{name}", text + "\n")
        self.file(f"{self.pci(index)}/resource", REGIONS)
        self.file(f"{self.pci(index)}/config", bytes.fromhex("de10b020") + bytes(60))
        (self.root / self.pci(index) / "driver").symlink_to("../../drivers/nvidia")
        text = f"Model: Stand-in GPU\nGPU UUID: GPU-00000000-0000-0000-0000-{index:012d}\nDevice Minor: {index}\nGPU Excluded: No\n"
        self.file(f"proc/driver/nvidia/gpus/{address}/information", text)
        self.node(f"nvidia{index}")

    def probe(self, cuda="", faults="", nvml="", nvml_faults="", limit=8, expect="nvidia"):
        """The report, and how many seconds it took."""
        environment = os.environ | self.environment | {
            "FOGHORN_FAKE_CUDA": cuda,
            "FOGHORN_FAKE_CUDA_FAULTS": faults,
            "FOGHORN_FAKE_NVML": nvml,
            "FOGHORN_FAKE_NVML_FAULTS": nvml_faults,
            "LD_LIBRARY_PATH": "/build/tests/fakes",
            "FOGHORN_PROBE": "/build/devprobe",
        }
        command = ["chroot", self.root, "/build/devprobe", "--json", "--timeout", str(limit), "--expect", expect]
        before = os.times().elapsed
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit + 30, check=False)
        seconds = os.times().elapsed - before
        try:
            return json.loads(done.stdout), seconds
        except ValueError:
            sys.exit(f"no JSON, exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
