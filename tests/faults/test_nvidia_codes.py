"""Every code of CUDA and of NVIDIA's management library, and machines with each fault, by stand-ins. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes sanitize=address
What devprobe says of a code is right or an honest UNKNOWN, and it says so within its time limit."""

import os
import pathlib
import re

import judging
from judging import check, finish, sampled
from nvidia_machine import RELEASE, Machine, enter

judging.devprobe()
enter()
SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])


def live(cause):
    judging.live(f"{cause} stand-in")


def blamed(report):
    """The findings about the NVIDIA GPU, with how sure they are."""
    return {f["id"]: f["confidence"] for f in report["findings"] if (f.get("device") or "").startswith("cuda") or f["id"].startswith("NV-")}


def words(report):
    return [(f["id"], f["confidence"], f["summary"]) for f in report["findings"]]


def codes(table):
    text = (SOURCE / "detect/drivers" / table).read_text()
    return sampled(int(code) for code in re.findall(r"^FH_\w+_RESULT\((\d+),", text, re.M) if code != "0")


# ---- every code of CUDA, from each of the three calls on the way to a context -------------------------------------------

# What a code may be called with nothing else to see on an otherwise healthy machine. All others: UNKNOWN.
SAYS = {
    3: {"NV-HMM-INIT3": "consistent"},
    34: {"CU-STUB": "proven"},
    102: {"NV-VGPU-LICENCE": "consistent"},
    214: {"NV-ECC-RESET-REQUIRED": "consistent"},
    802: {"NV-HMM-INIT3": "possible"},
    **{code: {"NV-MPS-805": "possible"} for code in range(805, 810)},
    999: {"NV-UVM-BROKEN": "possible"},
}
AT_INIT_ONLY = {3, 34}
# Honest about not knowing: the second says besides that the management library is well.
UNKNOWN = {"UNKNOWN", "CU-NVML-ONLY-GREEN"}
# Named by other groups of causes, from more than the code alone: allowed, never demanded here.
OTHERS = {"CU-COMPAT-803", "CU-COMPAT-804", "CU-OOM-HOST-VA", "CR-LANDLOCK-SECCOMP", "CU-NO-KERNEL-IMAGE"}

box = Machine()
report, _ = box.probe()
check("healthy: nothing is blamed with confidence", set(blamed(report)) <= UNKNOWN, words(report))
for code in codes("cuda_results.def"):
    for call in ("cuInit", "cuDeviceGetCount", "cuDevicePrimaryCtxRetain"):
        case = f"{call} gives {code}"
        report, seconds = box.probe(faults=f"{call}@1+={code}")
        said = blamed(report)
        expected = SAYS.get(code, {}) if call == "cuInit" or code not in AT_INIT_ONLY else {}
        wrong = {k: v for k, v in said.items() if k not in expected and not (k in UNKNOWN and v == "possible") and k not in OTHERS}
        check(f"{case}: named otherwise", not wrong, words(report))
        check(f"{case}: named at all", said, words(report))
        check(f"{case}: {expected}", all(said.get(k) == v for k, v in expected.items()), words(report))
        check(f"{case}: {seconds:.1f} s", seconds < 8, words(report))
        check(f"{case}: no CUDA device is claimed", not any(d["backend"] == "cuda" and d["usable"] for d in report["devices"]), report["devices"])
print("every code of CUDA: done")

# ---- every code of NVML: it is shown, and it decides nothing that CUDA does not say ----------------------------------------

CERTAIN = {15: "NV-XID79-OFF-BUS", 16: "NV-ECC-RESET-REQUIRED"}
for code in codes("nvml_results.def"):
    report, seconds = box.probe(faults="cuInit@1=100", nvml_faults=f"nvmlInit_v2={code}")
    check(f"nvmlInit gives {code}: UNKNOWN", blamed(report) == {"UNKNOWN": "possible"}, words(report))
    shown = [e["value"] for f in report["findings"] for e in f["evidence"] if e["source"] == "nvmlInit"]
    check(f"nvmlInit gives {code}: it is shown", any(v.startswith(f"{code} NVML_") for v in shown), report["findings"])
    report, seconds = box.probe(faults="cuInit@1=46", nvml_faults=f"nvmlDeviceGetHandleByIndex_v2={code}")
    expected = {CERTAIN[code]} if code in CERTAIN else UNKNOWN
    check(f"a card of NVML gives {code}: {expected}", blamed(report) and set(blamed(report)) <= expected, words(report))
print("every code of NVML: done")

# ---- a management library that is slow, hangs, crashes or ends its process takes nothing from what CUDA says ---------------

LIMIT = 3
for deed, seconds_used in (("hang", LIMIT), ("stuck", LIMIT), ("crash", 0), ("exit", 0), ("sleep=1", 1)):
    report, seconds = box.probe(faults="cuInit@1=999", nvml_faults=f"nvmlDeviceGetName={deed}", limit=LIMIT)
    check(f"NVML: {deed}: {seconds:.1f} s", seconds_used <= seconds < LIMIT + 2, words(report))
    check(f"NVML: {deed}: CUDA's code is judged all the same", blamed(report) == {"NV-UVM-BROKEN": "possible"}, words(report))

# ---- machines with one fault each ----------------------------------------------------------------------------------------------

PCI = "sys/bus/pci/devices/0000:01:00.0"
OPEN_KERNEL = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\n"
MODULES = "updates/dkms/nvidia.ko.zst:\n"


def unloaded(box):
    box.without("proc/driver/nvidia")
    box.without(f"{PCI}/driver")
    box.file("proc/devices", "Character devices:\n  1 mem\n")
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0"):
        box.without(f"dev/{name}")


def other_kernel(box):
    unloaded(box)
    box.file(f"lib/modules/{RELEASE}/modules.dep", "kernel/fs/fat.ko:\n")
    box.file("lib/modules/1.2.3-older/modules.dep", MODULES)


def just_started(box):
    unloaded(box)
    box.file(f"lib/modules/{RELEASE}/modules.dep", MODULES)
    box.file("sys/kernel/security/lockdown", "[none] integrity confidentiality\n")
    box.file("proc/uptime", "15.00 20.00\n")


def pascal(box):
    box.file("proc/driver/nvidia/version", OPEN_KERNEL)
    box.file(f"{PCI}/device", "0x1b06\n")
    box.without(f"{PCI}/driver")


def no_window(box):
    box.file(f"{PCI}/resource", "0xf6000000 0xf6ffffff 0x40200\n0x0 0x0 0x0\n0x0 0x0 0x0\n")
    box.without(f"{PCI}/driver")


def off_bus(box):
    box.file(f"{PCI}/config", b"\xff" * 64)


def nvswitch(box):
    for name, text in {"vendor": "0x10de", "device": "0x1af1", "class": "0x068000"}.items():
        box.file(f"sys/bus/pci/devices/0000:05:00.0/{name}", text + "\n")


def manager_of_another_version(box):
    nvswitch(box)
    box.file("var/lib/dpkg/status", "Package: nvidia-fabricmanager-550\nStatus: install ok installed\nVersion: 550.90.07-1\n\n")


def slept(box):
    box.file("sys/power/suspend_stats/success", "2\n")


def slices_without_nodes(box):
    path = "proc/driver/nvidia/capabilities/gpu0/mig/gi1"
    box.file(f"{path}/access", "DeviceFileMinor: 12\n")
    box.file(f"{path}/ci0/access", "DeviceFileMinor: 13\n")


def channels_registered(box):
    box.file("proc/devices", "Character devices:\n  1 mem\n  1 nvidia\n  1 nvidiactl\n  1 nvidia-uvm\n235 nvidia-caps-imex-channels\n")


def old_pipe(box):
    box.file("tmp/nvidia-mps/control", "")


def no_uvm(box):
    box.without("dev/nvidia-uvm")


# cause, confidence, what changes on the machine, arguments of probe
FAULTS = [
    ("NV-DKMS-KERNEL", "proven", other_kernel, {"faults": "cuInit@1=100"}),
    ("NV-BOOT-RACE", "possible", just_started, {"faults": "cuInit@1=100"}),
    ("NV-MODULE-NOT-LOADED", "consistent", unloaded, {"faults": "cuInit@1=100"}),
    ("NV-OPEN-REQUIRED", "consistent", pascal, {"faults": "cuInit@1=100", "nvml": "devices=0"}),
    ("NV-BAR-SPACE", "proven", no_window, {"faults": "cuInit@1=100"}),
    ("NV-XID79-OFF-BUS", "proven", off_bus, {"faults": "cuInit@1=100"}),
    ("NV-XID79-OFF-BUS", "proven", None, {"faults": "cuInit@1=999", "nvml_faults": "nvmlDeviceGetPciInfo_v3=15"}),
    ("NV-UVM-MISSING", "consistent", no_uvm, {"faults": "cuInit@1=999"}),
    ("NV-UVM-BROKEN", "consistent", slept, {"faults": "cuInit@1=999"}),
    ("NV-HMM-INIT3", "consistent", None, {"faults": "cuInit@1=3"}),
    ("NV-FABRIC-802", "consistent", nvswitch, {"faults": "cuInit@1=802"}),
    ("NV-FABRIC-802", "consistent", None, {"faults": "cuInit@1=802", "nvml": "fabric_state=2"}),
    ("NV-FM-VERSION", "consistent", manager_of_another_version, {"faults": "cuInit@1=802"}),
    ("NV-CC-NOT-READY", "consistent", None, {"faults": "cuInit@1=802", "nvml": "cc_feature=1,cc_ready=0"}),
    ("NV-ECC-RESET-REQUIRED", "consistent", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml": "remap_pending=1"}),
    ("NV-ECC-RESET-REQUIRED", "consistent", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml": "recovery_action=1"}),
    ("NV-ECC-RESET-REQUIRED", "proven", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml_faults": "nvmlDeviceGetComputeMode=16"}),
    ("NV-EXCLUSIVE-MODE", "consistent", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml": "compute_mode=3,processes=1"}),
    ("NV-EXCLUSIVE-MODE", "proven", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml": "compute_mode=2"}),
    ("NV-VGPU-LICENCE", "consistent", None, {"faults": "cuDevicePrimaryCtxRetain@1=46", "nvml": "virtualization=2,licensed=0"}),
    ("NV-VGPU-UM", "consistent", None, {"faults": "cuInit@1=801", "nvml": "virtualization=2"}),
    ("NV-MPS-805", "proven", old_pipe, {"cuda": "mps=1"}),
    ("NV-MIG-NO-INSTANCE", "consistent", None, {"faults": "cuInit@1=100", "nvml": "mig=1,mig_devices=0"}),
    ("NV-MIG-CAPS", "consistent", slices_without_nodes, {"faults": "cuInit@1=100", "nvml": "mig=1,mig_devices=1"}),
    ("NV-DRIVER-HUNG", "consistent", None, {"faults": "cuInit@1=stuck", "limit": LIMIT}),
    ("NV-DRIVER-HUNG", "possible", None, {"faults": "cuInit@1=hang", "limit": LIMIT}),
]
for cause, confidence, change, arguments in FAULTS:
    box = Machine()
    if change:
        change(box)
    report, _ = box.probe(**arguments)
    first = report["findings"][0] if report["findings"] else {"id": None, "confidence": None}
    good = (first["id"], first["confidence"]) == (cause, confidence) and len(blamed(report)) == 1
    check(f"{cause}, {change.__name__ if change else ''} {arguments}", good, words(report))
    if good:
        live(cause)

# Two cards, of which one keeps CUDA from starting.
box = Machine(cards=2)
report, _ = box.probe(cuda="devices=2,bad=1", nvml="devices=2")
good = blamed(report) == {"NV-ONE-BAD-GPU": "proven"} and "0000:02:00.0" in report["findings"][0]["summary"]
check("one bad card of two", good, words(report))
if good:
    live("NV-ONE-BAD-GPU")

# What is told though the card can be used, or whatever CUDA says.
ASIDE = [
    ("NV-IMEX", channels_registered, {"nvml": "fabric_state=3,fabric_cluster=1"}),
    ("NV-PERSISTENCE", None, {"faults": "cuInit@1=sleep=5.2", "nvml": "persistence=0", "limit": 12}),
]
for cause, change, arguments in ASIDE:
    box = Machine()
    if change:
        change(box)
    report, _ = box.probe(**arguments)
    found = [f for f in report["findings"] if f["id"] == cause]
    good = len(found) == 1 and found[0]["severity"] == "info" and found[0]["confidence"] == "consistent"
    check(f"{cause} {arguments}", good, words(report))
    if good:
        live(cause)

finish()
