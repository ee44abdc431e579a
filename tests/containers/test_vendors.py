"""devprobe in containers of a machine with an AMD GPU, an Intel GPU or an NPU that fail, each in one way.
SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=400 cross=no serial=yes

Real: the containers, device filters, namespaces, owners, modes, groups and system call filters; every errno; the counterfactual
children, their hangs and deaths. Stand-ins: /sys is a folder of files that shows such a machine, the device files are that of
/dev/zero (it opens) or have a number without a driver, and HSA and Level Zero are the tests' own, which say so."""

import os
import pathlib
import re

from container import Container, check, finding, finish, found, mount, not_found, not_run, report_of, require
from judging import sampled

require()
FAKES = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])
HSA, ZE = FAKES / "hsa/libhsa-runtime64.so.1", FAKES / "level_zero/libze_loader.so.1"
if not HSA.exists() or not ZE.exists():
    not_run("the stand-ins for HSA and Level Zero are not part of this build")
ZERO = (1, 5)  # opens for reading and writing, and does nothing
TAKEN = {int(number) for number in re.findall(r"^ *(\d+) ", pathlib.Path("/proc/devices").read_text(), re.M)}
FREE = next((number for number in (*range(60, 64), *range(120, 128)) if number not in TAKEN), None)  # for local use, by the kernel's list
if FREE is None:
    not_run("every device number for local use is taken")
RENDER = 992  # the group, by number
LIMIT = ["--timeout", "8" if "FH_SANITIZED" in os.environ else "3"]
AMD, INTEL, NPU = "0000:03:00.0", "0000:04:00.0", "0000:00:0b.0"


def put_pci(box, address, vendor, device, kind, driver):
    folder = f"/sys/bus/pci/devices/{address}"
    box.files |= {f"{folder}/{name}": f"{text}\n".encode() for name, text in (("vendor", vendor), ("device", device), ("class", kind))}
    if driver:
        box.links[f"{folder}/driver"] = f"../../../../bus/pci/drivers/{driver}"


def machine(host=False):
    """A container whose /sys is made of files; /dev is its own, with what is put there."""
    box = Container(host=host)
    box.mounts = [m for m in box.mounts if not m["destination"].startswith(("/sys", "/dev"))]
    box.files["/.dockerenv"] = b""
    box.files["/sys/module/drm/initstate"] = b"live\n"
    box.allow(ZERO[0])
    box.allow(FREE)
    return box


def put_node(box, path, number=ZERO, mode=0o666, group=RENDER):
    box.devices.append({"path": path, "type": "c", "major": number[0], "minor": number[1], "fileMode": mode, "uid": 0, "gid": group})


def put_library(box, path, content):
    box.files[path] = content


KFD_NODES = "/sys/class/kfd/kfd/topology/nodes"


def amd(kfd=True, render=True, rocm=True, gpu=True, host=False, **node):
    box = machine(host)
    put_pci(box, AMD, "0x1002", "0x744c", "0x030000", "amdgpu")
    box.files["/sys/module/amdgpu/initstate"] = b"live\n"
    box.files[f"{KFD_NODES}/0/properties"] = b"simd_count 0\nlocation_id 0\ndomain 0\ndrm_render_minor 0\n"
    if gpu:
        box.files[f"{KFD_NODES}/1/properties"] = b"simd_count 192\ngfx_target_version 110000\nlocation_id 768\ndomain 0\ndrm_render_minor 128\n"
    box.links["/sys/class/drm/renderD128/device"] = f"../../../bus/pci/devices/{AMD}"
    box.environment["LD_LIBRARY_PATH"] = "/opt/rocm/lib"  # before the host's own ROCm, if it has one
    if kfd:
        put_node(box, "/dev/kfd", **node)
    if render:
        put_node(box, "/dev/dri/renderD128")
    if rocm:
        put_library(box, "/opt/rocm/lib/libhsa-runtime64.so.1", HSA.read_bytes())
    return box


def intel(render=True, loader=True, driver=True, host=False, kernel_driver="i915", **node):
    box = machine(host)
    put_pci(box, INTEL, "0x8086", "0x56a0", "0x030000", kernel_driver)
    box.files[f"/sys/module/{kernel_driver}/initstate"] = b"live\n"
    box.links["/sys/class/drm/renderD128/device"] = f"../../../bus/pci/devices/{INTEL}"
    box.environment["LD_LIBRARY_PATH"] = "/opt/intel"
    if render:
        put_node(box, "/dev/dri/renderD128", **node)
    if loader:
        put_library(box, "/opt/intel/libze_loader.so.1", ZE.read_bytes())
    if driver:
        put_library(box, "/opt/intel/libze_intel_gpu.so.1", ZE.read_bytes())  # any library that loads
    return box


def named(case, report, cause, confidence, *said):
    """The cause is the primary one, and an error: somebody gave the device to this container, or asked for it."""
    found(case, report, cause, confidence, *said)
    first = report["findings"][0] if report["findings"] else {"id": None, "severity": None}
    check(f"{case}: it is primary", first["id"] == cause, report)


def rejected(case, report, prefix):
    devices = [d for d in report["devices"] if d["id"].startswith(prefix)]
    check(f"{case}: {prefix} is rejected", devices and not any(d["usable"] and not d["fake"] for d in devices), report)


# ---- AMD: all is well ------------------------------------------------------------------------------------------------------

report = amd().probe(*LIMIT)
check("AMD, all is well: the stand-in is listed as one", any(d["id"] == "amd:0" and d["fake"] for d in report["devices"]), report)
check("AMD, all is well: nothing to say", not [f for f in report["findings"] if f["id"].startswith("AMD-")], report)
check("AMD, all is well: expected", report["expected"]["amd"] == "intent" and report["expected"]["nvidia"] == "none", report)

# ---- AMD: nodes --------------------------------------------------------------------------------------------------------------

box = amd(kfd=False, render=False)
box.environment |= {"HIP_VISIBLE_DEVICES": "0", "FOGHORN_FAKE_HSA": "init=4104"}
report = box.probe(*LIMIT)
named("no /dev/kfd", report, "AMD-NO-KFD", "consistent", "/dev/kfd: ENOENT", "4104 HSA_STATUS_ERROR_OUT_OF_RESOURCES", "1 GPUs")
rejected("no /dev/kfd", report, "amd:")

box = amd(mode=0o660)
box.user = 1000
box.environment["FOGHORN_FAKE_HSA"] = "init=4104"
report = box.probe(*LIMIT)
named("not in the group", report, "AMD-KFD-PERM", "consistent", "EACCES; mode 0660, owner 0:992", "uid 1000", "4104")
box = amd(mode=0o660)
box.user = 1000
box.groups = [RENDER]
report = box.probe(*LIMIT)
not_found("in the group, by number", report, "AMD-KFD-PERM", "AMD-KFD-ERRNO", "AMD-NO-KFD")

box = amd(kfd=False, render=False)
box.mounts.append(mount("/dev", "tmpfs", "nosuid", "mode=755", "size=64k"))
box.namespaces.append("user")
ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
box.linux |= {"uidMappings": ids, "gidMappings": ids}
for name, path in (("kfd", "/dev/kfd"), ("renderD128", "/dev/dri/renderD128")):
    box.bring(name, (*ZERO, 0o660), path)
box.environment["FOGHORN_FAKE_HSA"] = "init=4104"
report = box.probe(*LIMIT)
named("a group without a number", report, "AMD-GID-MAP", "consistent", "EACCES; mode 0660, owner 65534:65534", "/proc/self/gid_map")
not_found("a group without a number", report, "AMD-KFD-PERM")

report = amd(number=(FREE, 0)).probe(*LIMIT)
named("a number without a driver", report, "AMD-KFD-ERRNO", "consistent", "/dev/kfd: ENXIO")
box = amd(number=(FREE, 0))
box.resources["devices"] = [rule for rule in box.resources["devices"] if rule.get("major") != FREE]
report = box.probe(*LIMIT)
named("refused by the device filter", report, "AMD-KFD-ERRNO", "consistent", "/dev/kfd: EPERM")
box = amd(kfd=False)
box.bring("kfd", (*ZERO, 0o666), "/dev/kfd", "bind", "nodev")
report = box.probe(*LIMIT)
named("nodev", report, "AMD-KFD-ERRNO", "proven", "nodev")
box = amd(kfd=False)
box.bring("kfd", b"", "/dev/kfd")
report = box.probe(*LIMIT)
named("a file", report, "AMD-KFD-ERRNO", "proven", "not a device: a file of 0 bytes")

box = amd(render=False)
box.environment["FOGHORN_FAKE_HSA"] = "devices=0"
report = box.probe(*LIMIT)
named("no render node", report, "AMD-RENDER-MISSING", "consistent", "/dev/dri/renderD128: ENOENT")
box = amd(gpu=False)
box.environment["FOGHORN_FAKE_HSA"] = "devices=0"
report = box.probe(*LIMIT)
named("not in the KFD's list", report, "AMD-ATOMICS", "consistent", "bound to amdgpu", "1 entries, none of them this GPU")

# ---- AMD: software --------------------------------------------------------------------------------------------------------------

report = amd(rocm=False).probe(*LIMIT)
named("no ROCm", report, "AMD-USERLAND-MISSING", "consistent", "/dev/kfd: opens", "libhsa-runtime64.so.1: not found")

for value in ("", "-1", "5"):
    box = amd()
    box.environment["ROCR_VISIBLE_DEVICES"] = value
    report = box.probe(*LIMIT)
    named(f"ROCR_VISIBLE_DEVICES='{value}'", report, "AMD-VISIBLE-EMPTY", "proven", "asked again without ROCR_VISIBLE_DEVICES: it works")
box = amd()
box.environment |= {"ROCR_VISIBLE_DEVICES": "", "FOGHORN_FAKE_HSA": "devices=0"}
report = box.probe(*LIMIT)
not_found("no GPU without the variable either", report, "AMD-VISIBLE-EMPTY")

for name in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
    box = amd()
    box.environment |= {"ROCR_VISIBLE_DEVICES": "1", name: "1", "FOGHORN_FAKE_HSA": "devices=2"}
    report = box.probe(*LIMIT)
    found(f"both ask for the second: {name}", report, "AMD-VISIBLE-DOUBLE", "consistent", "1 GPU, numbered from 0 again", f"{name}: 1")
    box.environment[name] = "0"
    not_found(f"the second counts from 0: {name}", box.probe(*LIMIT), "AMD-VISIBLE-DOUBLE")

box = amd()
box.files["/opt/rocm/lib/rocblas/library/TensileLibrary_lazy_gfx1030.dat"] = b""
report = box.probe(*LIMIT)
found("no code for the model", report, "AMD-GFX-UNSUPPORTED", "consistent", "is a gfx1100", "gfx1030")
box.files["/opt/rocm/lib/rocblas/library/TensileLibrary_lazy_gfx1100.dat"] = b""
not_found("code for the model", box.probe(*LIMIT), "AMD-GFX-UNSUPPORTED")

box = amd()
box.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["move_pages"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
report = box.probe(*LIMIT)
found("move_pages is refused", report, "AMD-SECCOMP", "possible", "Seccomp: 2", "move_pages: EPERM")

# ---- AMD: hangs, deaths, and each code --------------------------------------------------------------------------------------------

for act, confidence, said in (("stuck", "consistent", "state D"), ("hang", "consistent", "still running")):
    box = amd()
    box.files |= {"/opt/rocm/.info/version": b"7.0.0-38\n", "/sys/module/amdgpu/version": b"5.18.13\n"}
    box.environment["FOGHORN_FAKE_HSA"] = f"init={act}"
    report = box.probe("--timeout", "1")
    named(f"hsa_init: {act}", report, "AMD-OLD-KERNEL-HANG", confidence, said, "ROCm 7.0.0-38", "5.18.13")


def codes(file, prefix):
    text = (SOURCE / "detect/drivers" / file).read_text()
    every = re.findall(r"FH_RUNTIME_RESULT\((0x\w+|\d+), (\w+)\)", text)
    return sampled((int(code, 0), name) for code, name in every if name != f"{prefix}_SUCCESS")


def one_call(box, variable, table, device, expected, call):
    """Each code from one call: the right device is rejected, the code is told, and the cause is one that it allows."""
    with box.running() as inside:

        def ask(act):
            box.environment[variable] = f"{call}={act}"
            return report_of(*inside("/devprobe", "--json", *LIMIT))

        for code, name in table:
            report, case = ask(code), f"{variable} {call}={name}"
            first = report["findings"][0] if report["findings"] else {"id": None, "confidence": None}
            check(f"{case}: {first['id']}", first["id"] == expected(call, code) and first["confidence"] == "possible", report)
            check(f"{case}: the code is told", any(form in str(first) for form in (name, str(code), f"{code:#x}")), report)
            rejected(case, report, device)
        for act, words in (("crash", "crashed (signal 11)"), ("exit", "ended its process")):
            report = ask(act)
            check(f"{variable} {call}={act}", words in (finding(report, "UNKNOWN") or {"summary": ""})["summary"], report)
        report = ask("sleep:1")
        check(f"{variable} {call}: slow, within the limit", any(d["id"] == f"{device}0" and d["usable"] for d in report["devices"]), report)


def every_code(make, variable, table, device, expected):
    for call in ("init", "list", "open"):
        one_call(make(host=True), variable, table, device, expected, call)


every_code(amd, "FOGHORN_FAKE_HSA", codes("hsa_results.def", "HSA_STATUS"), "amd:", lambda call, code: "UNKNOWN")

# ---- Intel: nodes -------------------------------------------------------------------------------------------------------------------

report = intel().probe(*LIMIT)
check("Intel, all is well: the stand-in is listed as one", any(d["id"] == "intel:0" and d["fake"] for d in report["devices"]), report)
check("Intel, all is well: nothing to say", not [f for f in report["findings"] if f["id"].startswith("INTEL-")], report)

box = intel(render=False)
box.environment |= {"ONEAPI_DEVICE_SELECTOR": "level_zero:gpu", "FOGHORN_FAKE_ZE": "devices=0"}
report = box.probe(*LIMIT)
named("no /dev/dri", report, "INTEL-NO-NODE", "consistent", "/dev/dri/renderD128: ENOENT", "0x78000001 ZE_RESULT_ERROR_UNINITIALIZED")

box = intel(mode=0o660)
box.user = 1000
box.environment["FOGHORN_FAKE_ZE"] = "devices=0"
report = box.probe(*LIMIT)
named("not in the render group", report, "INTEL-RENDER-GID", "consistent", "EACCES; mode 0660, owner 0:992", "uid 1000")
box.groups = [RENDER]
not_found("in the render group, by number", box.probe(*LIMIT), "INTEL-RENDER-GID")

box = intel()
box.links["/dev/dri/by-path/pci-0000:04:00.0-render"] = "../renderD129"
box.environment["FOGHORN_FAKE_ZE"] = "devices=0"
report = box.probe(*LIMIT)
named("links that lead nowhere", report, "INTEL-BYPATH", "consistent", "-> ../renderD129", "/dev/dri/renderD128: opens")
box.links["/dev/dri/by-path/pci-0000:04:00.0-render"] = "../renderD128"
not_found("links that lead to the node", box.probe(*LIMIT), "INTEL-BYPATH")

# ---- Intel: software -------------------------------------------------------------------------------------------------------------------

box = intel(driver=False)
box.environment["FOGHORN_FAKE_ZE"] = "devices=0"
report = box.probe(*LIMIT)
named("no driver library", report, "INTEL-NO-UMD", "consistent", "/dev/dri/renderD128: opens", "not found")
box = intel(driver=False)
put_library(box, "/opt/intel/libze_intel_gpu.so.1", b"not a library\n" * 200)
box.environment["FOGHORN_FAKE_ZE"] = "devices=0"
report = box.probe(*LIMIT)
named("a driver library that does not load", report, "INTEL-NO-UMD", "proven", "dlopen: ", "invalid ELF header")

box = intel(kernel_driver="xe")
box.environment["FOGHORN_FAKE_ZE"] = "devices=0"
report = box.probe(*LIMIT)
named("bound to xe", report, "INTEL-XE-I915", "consistent", "driver xe", "0x78000001")

box = intel()
box.environment["ZE_AFFINITY_MASK"] = "4"
report = box.probe(*LIMIT)
named("ZE_AFFINITY_MASK=4", report, "INTEL-SELECTOR", "proven", "asked again without ZE_AFFINITY_MASK: it works")
box = intel()
box.environment["ONEAPI_DEVICE_SELECTOR"] = "opencl:cpu"
report = box.probe(*LIMIT)
found("ONEAPI_DEVICE_SELECTOR=opencl:cpu", report, "INTEL-SELECTOR", "consistent", "ONEAPI_DEVICE_SELECTOR: opencl:cpu")
for selector in ("level_zero:gpu", "*:gpu", "!opencl:cpu", "opencl:cpu;level_zero:0"):
    box.environment["ONEAPI_DEVICE_SELECTOR"] = selector
    not_found(f"ONEAPI_DEVICE_SELECTOR={selector}", box.probe(*LIMIT), "INTEL-SELECTOR")

WINDOW = "0x0 0x0 0x0\n0x0 0x0 0x0\n0x4000000000 {last} 0x14220c\n"
box = intel()
box.files[f"/sys/bus/pci/devices/{INTEL}/resource"] = WINDOW.format(last="0x400fffffff").encode()
found("a window of 256 MiB", box.probe(*LIMIT), "INTEL-REBAR", "consistent", "a window of 256 MiB")
box.files[f"/sys/bus/pci/devices/{INTEL}/resource"] = WINDOW.format(last="0x43ffffffff").encode()
not_found("a window of 16 GiB", box.probe(*LIMIT), "INTEL-REBAR")

every_code(
    intel,
    "FOGHORN_FAKE_ZE",
    codes("ze_results.def", "ZE_RESULT"),
    "intel:",
    lambda call, code: "INTEL-XE-I915" if call == "init" and code in (0x78000001, 0x78000002, 0x78000003) else "UNKNOWN",
)

# ---- Intel: the NPU ----------------------------------------------------------------------------------------------------------------------


def npu(node=True, driver=True, **how):
    box = machine()
    put_pci(box, NPU, "0x8086", "0x7d1d", "0x120000", "intel_vpu")
    box.files["/sys/module/intel_vpu/initstate"] = b"live\n"
    box.environment |= {"LD_LIBRARY_PATH": "/opt/intel", "FOGHORN_FAKE_ZE": "devices=0"}
    put_library(box, "/opt/intel/libze_loader.so.1", ZE.read_bytes())
    if driver:
        put_library(box, "/opt/intel/libze_intel_npu.so.1", ZE.read_bytes())
    if node:
        put_node(box, "/dev/accel/accel0", **how)
    return box


box = npu()
box.environment["FOGHORN_FAKE_ZE"] = "devices=0,npus=1"
report = box.probe(*LIMIT)
check("NPU, all is well", any(d["id"] == "npu:0" and d["kind"] == "accelerator" and d["fake"] for d in report["devices"]), report)
not_found("NPU, all is well", report, "INTEL-NPU", "UNKNOWN")
found("no /dev/accel", npu(node=False).probe(*LIMIT), "INTEL-NPU", "consistent", "/dev/accel: no accelN")
box = npu(mode=0o660)
box.user = 1000
found("the NPU's group", box.probe(*LIMIT), "INTEL-NPU", "consistent", "/dev/accel/accel0: EACCES, mode 0660")
found("no library for the NPU", npu(driver=False).probe(*LIMIT), "INTEL-NPU", "consistent", "libze_intel_npu.so.1")

# ---- nobody expects a display to compute ------------------------------------------------------------------------------------------------------

for case, vendor, device in (("virtio", "0x1af4", "0x1050"), ("ASPEED", "0x1a03", "0x2000"), ("Intel", "0x8086", "0x46a6"), ("AMD", "0x1002", "0x1638")):
    box = machine()
    put_pci(box, "0000:00:02.0", vendor, device, "0x030000", "driver")
    report = box.probe(*LIMIT)
    check(f"a display of {case}: silence", report["verdict"] == "OK" and len(report["devices"]) == 1, report)
finish()
