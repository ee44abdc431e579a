"""Look-alikes: machines with the same symptom and different causes get different answers, and the catalogue tells the two apart.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=120"""
import json
import os
import pathlib
import subprocess
import sys

DEVPROBE = os.environ.get("DEVPROBE")
MACHINES = pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines"

# (symptom, code of the CUDA driver or None, machines). The primary cause of a machine is its name, or what OTHERS says. Code 3 has no second
# machine: after a fork only the process itself can tell (CU-FORK-AFTER-INIT, named at run time); detection asks in a fresh one.
PAIRS = [
    ("cuInit says 999, NVML is fine", 999, ["nv-uvm-missing", "cr-uvm-stale-major", "cr-cgroup-lost", "nv-uvm-broken"]),
    ("cuInit says 100", 100, ["cu-cvd-empty", "nv-mig-no-instance", "jetson-nvmap-perm", "wsl-wrong-libcuda"]),
    ("cuInit says 802", 802, ["nv-fabric-802", "nv-cc-not-ready"]),
    ("cuInit says 803", 803, ["cu-compat-803", "nv-version-mismatch", "cr-image-baked-driver"]),
    ("the runtime says 35", None, ["cu-driver-too-old", "cu-no-libcuda"]),
    ("a context cannot be made: 46", 46, ["nv-exclusive-mode", "nv-ecc-reset-required", "nv-vgpu-licence"]),
    ("cuInit says 801", 801, ["nv-vgpu-um", "jetson-801-sys"]),
    ("cuInit says 2", 2, ["cu-oom-host-va", "oom-no-limit"]),
    ("NVML says Unknown Error", None, ["cr-cgroup-lost", "nv-vgpu-licence-unknown-error"]),
    ("EACCES", None, ["cr-node-dac", "cr-node-nodev", "cr-selinux"]),
    ("EPERM", None, ["cr-cgroup-lost", "cr-cgroup-never", "nv-excluded-gpu"]),
    ("HSA says 4104", None, ["amd-no-kfd", "amd-kfd-perm", "amd-wsl"]),
    ("OpenCL says -1001", None, ["cl-no-icd-file", "cl-vendors-override", "cl-icd-lib-missing"]),
    ("pthread_create fails", None, ["cpu-threads-eperm", "cg-pids-limit"]),
    ("a slow CPU", None, ["cg-quota-oversub", "cpu-isa-masked", "cpu-emulated", "cpu-smt-count"]),
    ("NVIDIA_VISIBLE_DEVICES=void and no GPU", None, ["cr-nvd-void", "cr-k8s-no-resource-void"]),
    ("no /proc/driver/nvidia/version", None, ["nv-module-not-loaded", "gvisor-gpu", "wsl-gpu", "jetson"]),
]
# The primary cause of a machine where its name does not begin with it.
OTHERS = {
    "cr-k8s-no-resource-void": "CR-K8S-NO-RESOURCE",
    "nv-vgpu-licence-unknown-error": "NV-VGPU-LICENCE",
    "oom-no-limit": "UNKNOWN",  # the card's own memory may be used up: devprobe cannot prove that, and does not claim it
    "gvisor-gpu": None,  # normal there
    "wsl-gpu": None,
    "jetson": None,
}


def load(name, file):
    return json.loads((MACHINES / name / file).read_text(encoding="utf-8"))


def layers(name):
    """The machine and what it is based on, newest first."""
    base = load(name, "snapshot.json").get("base", [])
    yield name
    for one in [base] if isinstance(base, str) else base:
        yield from layers(one[3:])


def cuda_codes(name):
    """What the recorded CUDA driver says: of init, of count and of each context."""
    for layer in layers(name):
        file = MACHINES / layer / "answers/cuda.json"
        if (MACHINES / layer / "answers/cuda.absent").exists():
            return set()
        if not file.exists():
            continue
        decoder, text, whole, at = json.JSONDecoder(), file.read_text(encoding="utf-8").strip(), {}, 0
        while at < len(text):
            part, at = decoder.raw_decode(text, at)
            whole.update(part)
            at += len(text[at:]) - len(text[at:].lstrip())
        devices = [device.get("context_code") for device in whole.get("devices", [])]
        return {code for code in [whole.get("init_code"), whole.get("count_code"), *devices] if code}
    return set()


def primary(name):
    expect = load(name, "expect.json").get("expect")
    done = subprocess.run([DEVPROBE, "--from", str(MACHINES / name), "--json", *(["--expect", expect] if expect else [])],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    findings = json.loads(done.stdout)["findings"]
    return findings[0]["id"] if findings else None


def catalogue():
    done = subprocess.run([DEVPROBE, "cause", "--json"], capture_output=True, timeout=60, check=True)
    return {cause["id"]: cause for cause in json.loads(done.stdout)["causes"]}


def main():
    if not DEVPROBE:
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    causes, faults = catalogue(), []
    for symptom, code, names in PAIRS:
        found = {name: primary(name) for name in names}
        print(f"{symptom}: " + ", ".join(f"{name}: {cause}" for name, cause in found.items()))
        for name, cause in found.items():
            expected, others = OTHERS.get(name, name.upper()), {other for other in found.values() if other} - {cause, "UNKNOWN"}
            if cause != expected:
                faults.append(f"{name}: the primary cause is {cause}, expected {expected}")
            elif cause not in (None, "UNKNOWN") and others and not any(other in causes[cause]["look_alikes"] for other in others):
                faults.append(f"{cause}: its look-alikes name none of {', '.join(sorted(others))}")
            if code and code not in cuda_codes(name):
                faults.append(f"{name}: its CUDA driver does not say {code}: {sorted(cuda_codes(name))}")
        wrong = [cause for cause in found.values() if cause]
        if len(set(wrong)) != len(wrong):
            faults.append(f"{symptom}: two machines get the same answer: {found}")
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
