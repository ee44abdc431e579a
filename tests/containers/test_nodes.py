"""devprobe in real containers whose NVIDIA device nodes are unusable, each in one way. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes"""

import pathlib
import re

from container import NVIDIA, UNIFIED, Container, check, evidence, finding, finish, live, not_run, require

require()
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: these device nodes would work")
NOBODY = 65534
PCI = pathlib.Path("/sys/bus/pci/devices")
GPUS = [d for d in PCI.glob("*") if (d / "vendor").read_text().strip() == "0x10de" and (d / "class").read_text().startswith("0x03")]
NO_DRIVER = "NV-MODULE-NOT-LOADED" if GPUS else "NV-NO-HARDWARE"


def primary(case, report, cause, confidence):
    """The first finding is this cause: an error, since device nodes show that somebody wants a GPU; and no device is claimed."""
    first = report["findings"][0] if report["findings"] else {"id": None, "confidence": None, "severity": None, "remedy": []}
    check(f"{case}: expected {cause}, found {first['id']}", first["id"] == cause, report)
    check(f"{case}: {confidence}", first["confidence"] == confidence and first["severity"] == "error", report)
    check(f"{case}: a remedy", first["remedy"] != [], report)
    check(f"{case}: the verdict", report["verdict"] == "NOT USABLE" and report["wrong"], report)
    check(f"{case}: no usable GPU", not any(d["usable"] and d["backend"] == "cuda" for d in report["devices"]), report)
    check(f"{case}: platform", report["platform"]["kind"] == "oci", report)
    if first["id"] == cause and first["confidence"] == confidence:
        live(cause)


# The same container, healthy as far as a container goes: no node, so nothing is expected and nothing is wrong.
report = Container().probe()
check("no nodes: no GPU is expected", report["expected"]["gpu"] in ("none", "circumstantial") and not report["wrong"], report)

# ---- refused by the device control group ------------------------------------------------------------------------------------

box = Container()
box.nvidia_nodes()
report = box.probe()
primary("nodes that nobody allowed", report, "CR-CGROUP-NEVER", "possible")
for name, (major, minor) in NVIDIA.items():
    said = f"/dev/{name}: EPERM, mode 0666, device number {major}:{minor}"
    check(f"nodes that nobody allowed: {said}", said in evidence(report, "CR-CGROUP-NEVER"), report)

box = Container()
for name, (major, minor) in NVIDIA.items():
    box.bring(name, (major, minor, 0o666), f"/dev/{name}")
report = box.probe()
primary("nodes mounted in by hand", report, "CR-CGROUP-NEVER", "consistent")
check("nodes mounted in by hand: how", "bind-mounted by hand" in evidence(report, "CR-CGROUP-NEVER"), report)

# What a reload of systemd leaves of a container's rules: the nodes may be made, not opened.
box = Container()
box.nvidia_nodes()
if UNIFIED:  # version 2 has no list of rules to read: the toolkit's mark tells that the devices were allowed once
    box.environment["NVIDIA_CTK_LIBCUDA_DIR"] = "/usr/lib"
else:
    box.allow(195, "m")
report = box.probe()
primary("rules that have shrunk", report, "CR-CGROUP-LOST", "consistent")
check("rules that have shrunk: EPERM", "/dev/nvidiactl: EPERM" in evidence(report, "CR-CGROUP-LOST"), report)
check("rules that have shrunk: not never", not finding(report, "CR-CGROUP-NEVER"), report)

# ---- allowed, and no driver -----------------------------------------------------------------------------------------------------

box = Container()
box.nvidia_nodes()
box.allow_nvidia()
report = box.probe()
primary("allowed, and no driver", report, NO_DRIVER, "consistent")
for name in NVIDIA:
    said = f"/dev/{name}: left over: opening it gives ENXIO, no driver behind it"
    check(f"allowed, and no driver: {said}", said in evidence(report, NO_DRIVER), report)
check("no driver: no refusal", not finding(report, "CR-CGROUP-NEVER") and not finding(report, "CR-CGROUP-LOST"), report)

# ---- refused before the control group is asked -------------------------------------------------------------------------------------

box = Container()
box.allow_nvidia()
for name, (major, minor) in NVIDIA.items():
    box.bring(name, (major, minor, 0o666), f"/dev/{name}", "bind", "nodev")
report = box.probe()
primary("nodev", report, "CR-NODE-NODEV", "proven")
check("nodev: evidence", "/dev/nvidiactl: EACCES; mounted nodev at /dev/nvidiactl" in evidence(report, "CR-NODE-NODEV"), report)

box = Container()
box.user = NOBODY
box.nvidia_nodes(0o600)
box.allow_nvidia()
report = box.probe()
primary("nodes of root, asked as nobody", report, "CR-NODE-DAC", "consistent")
said = evidence(report, "CR-NODE-DAC")
check("nodes of root: evidence", "/dev/nvidia0: EACCES; mode 0600, owner 0:0" in said and f"uid {NOBODY}" in said, report)

box = Container()
box.nvidia_nodes(0o600)
box.allow_nvidia()
report = box.probe()
check("nodes of root, asked as root: permission is not the cause", not finding(report, "CR-NODE-DAC"), report)

# ---- no device at all --------------------------------------------------------------------------------------------------------------

box = Container()
box.allow_nvidia()
for name in ("nvidiactl", "nvidia-uvm"):
    box.node(name, *NVIDIA[name])
box.bring("nvidia0", b"", "/dev/nvidia0")
report = box.probe()
primary("a file in place of a node", report, "CR-NODE-NOT-CHARDEV", "proven")
check("a file in place of a node: evidence", "/dev/nvidia0: not a device: a file of 0 bytes" in evidence(report, "CR-NODE-NOT-CHARDEV"), report)

# ---- the driver's library: wrong too, beside the driver that this machine lacks --------------------------------------------------------

box = Container()
box.nvidia_nodes()
box.allow_nvidia()
box.files["/usr/lib/x86_64-linux-gnu/libcuda.so.1"] = b""
report = box.probe()
primary("an empty libcuda in the image", report, NO_DRIVER, "consistent")
found = finding(report, "CR-ZERO-BYTE-LIB")
check("an empty libcuda: proven", found and found["confidence"] == "proven" and found["severity"] == "error", report)
check("an empty libcuda: evidence", "libcuda.so.1: 0 bytes" in evidence(report, "CR-ZERO-BYTE-LIB"), report)
if found and "libcuda.so.1: 0 bytes" in evidence(report, "CR-ZERO-BYTE-LIB"):
    live("CR-ZERO-BYTE-LIB")
finish()
