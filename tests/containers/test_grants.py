"""devprobe in containers that were given nothing of a GPU, started in the ways in which that happens.
SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes

Real: containers without device files and libraries, in control groups named as engines name them. Stand-ins: the kernel's list of
drivers and the version of NVIDIA's module are files mounted in, as on a machine whose driver is loaded; variables, volumes and
programs of engines are set by the test."""

import pathlib
import re

from container import NVIDIA, Container, check, devprobe, found, linked_libraries, mount, not_found, not_run, require, finish

require()
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: the stand-ins would cover it")
LISTED = b"Character devices:\n  1 mem\n 10 misc\n195 nvidia\n508 nvidia-uvm\n\nBlock devices:\n"
VERSION = b"550.54.14\n"


def on_gpu_machine(*, unit="container", **environment):
    box = Container()
    box.unit = unit
    box.environment |= environment
    box.bring("devices", LISTED, "/proc/devices")
    box.mounts.append(mount("/sys/module", "tmpfs", "size=64k"))
    box.bring("version", VERSION, "/sys/module/nvidia/version")
    return box


def only(case, box, cause, confidence, *said):
    """This cause is found, and none of its look-alikes."""
    report = box.probe()
    found(case, report, cause, confidence, *said)
    alike = {"CR-NO-GPU-REQUESTED", "CR-COMPOSE-RESERVATION", "CR-K8S-NO-RESOURCE", "CR-K8S-RUNTIMECLASS", "CR-NVD-VOID", "CR-BUILD-TIME", "CR-NESTED"}
    not_found(case, report, *sorted(alike - {cause}))
    return report


# ---- why nothing came in ----------------------------------------------------------------------------------------------

report = only("no request", on_gpu_machine(), "CR-NO-GPU-REQUESTED", "consistent", "550.54.14", "ENOENT")
check("no request and no intent: a warning", report["verdict"] == "LIMITED" and not report["wrong"], report)
report = only("the image asks", on_gpu_machine(NVIDIA_VISIBLE_DEVICES="all"), "CR-NO-GPU-REQUESTED", "consistent", "NVIDIA_VISIBLE_DEVICES: all")
check("the image asks: an error", report["verdict"] == "NOT USABLE" and report["wrong"], report)

box = on_gpu_machine(NVIDIA_VISIBLE_DEVICES="all", COMPOSE_PROJECT_NAME="chat")
box.files["/.dockerenv"] = b""
only("compose", box, "CR-COMPOSE-RESERVATION", "consistent", "COMPOSE_PROJECT_NAME: chat")

only("void", on_gpu_machine(NVIDIA_VISIBLE_DEVICES="void"), "CR-NVD-VOID", "consistent", "NVIDIA_VISIBLE_DEVICES: void")
pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
only("a pod without a request", on_gpu_machine(**pod), "CR-K8S-NO-RESOURCE", "consistent")
only("a pod marked void", on_gpu_machine(NVIDIA_VISIBLE_DEVICES="void", **pod), "CR-K8S-NO-RESOURCE", "consistent")
granted = "GPU-5f3b2c1a-0d4e-4a6b-8c7d-9e0f1a2b3c4d"
only("a pod whose grant was ignored", on_gpu_machine(NVIDIA_VISIBLE_DEVICES=granted, **pod), "CR-K8S-RUNTIMECLASS", "consistent", granted)

# The control groups of the machine in view, as with --cgroupns=host: an engine's folder in that of another one, and BuildKit's.
nested = on_gpu_machine(unit="docker/0a1b/docker/2c3d", NVIDIA_VISIBLE_DEVICES="all")
only("a container in a container", nested, "CR-NESTED", "consistent", "/proc/self/cgroup")
single = on_gpu_machine(unit="docker/0a1b", NVIDIA_VISIBLE_DEVICES="all")
only("one engine", single, "CR-NO-GPU-REQUESTED", "consistent")
build = on_gpu_machine(unit="buildkit/k3j4h5", NVIDIA_VISIBLE_DEVICES="all")
report = only("an image build", build, "CR-BUILD-TIME", "consistent", "/proc/self/cgroup")
check("an image build: by design, so no error", not report["wrong"], report)

# ---- part of it, in sandboxes that choose ---------------------------------------------------------------------------------

box = on_gpu_machine(APPTAINER_CONTAINER="/images/torch.sif", APPTAINER_NV="1", LD_LIBRARY_PATH="/.singularity.d/libs")
box.files["/.singularity.d/libs/libcuda.so.1"] = linked_libraries(devprobe())[0].read_bytes()  # any library of this machine
report = box.probe()
found("apptainer --contain", report, "CR-APPTAINER-CONTAIN", "consistent", "/dev/nvidiactl: ENOENT", "tmpfs")
not_found("apptainer --contain", report, "CR-APPTAINER-NO-NV", "NV-UVM-MISSING")

box = on_gpu_machine()
box.files["/.flatpak-info"] = b"[Application]\nname=org.example.Chat\n\n[Context]\ndevices=shm;\n"
report = box.probe()
found("flatpak without device access", report, "CR-FLATPAK-SNAP", "consistent", "devices=shm", "/dev/nvidiactl: ENOENT")

# ---- LXC ------------------------------------------------------------------------------------------------------------------------


def lxc(mode):
    """Unprivileged: other ids outside, device files of the host mounted in."""
    box = Container()
    box.environment["container"] = "lxc"
    box.namespaces.append("user")
    ids = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    box.linux |= {"uidMappings": ids, "gidMappings": ids}
    for name, (major, minor) in NVIDIA.items():
        box.bring(name, (major, minor, mode), f"/dev/{name}")
    box.allow(195)
    return box


box = lxc(0o660)
box.allow(NVIDIA["nvidia-uvm"][0])
report = box.probe()
found("LXC, files of a group outside", report, "CR-LXC-PROXMOX", "consistent", "owner 65534:65534")
not_found("LXC, files of a group outside", report, "CR-ROOTLESS", "CR-NODE-DAC")

box = lxc(0o666)
box.bring("devices", LISTED, "/proc/devices")
report = box.probe()
found("LXC, no rule for nvidia-uvm's number", report, "CR-LXC-PROXMOX", "consistent", "/dev/nvidia-uvm: EPERM", "/dev/nvidiactl: not refused")
not_found("LXC, no rule for nvidia-uvm's number", report, "CR-CGROUP-NEVER", "CR-ROOTLESS")

# ---- the machine itself -------------------------------------------------------------------------------------------------------------


def machine():
    """No namespace is new but those that a root of its own takes: as seen outside of containers."""
    box = on_gpu_machine()
    box.namespaces = ["mount", "uts"]
    return box


def with_cdi_file(version):
    box = machine()
    spec = f"kind: nvidia.com/gpu\n  hostPath: /usr/lib/libcuda.so.{version}\n"
    box.files |= {"/run/docker.sock": b"", "/usr/bin/nvidia-ctk": b"", "/etc/cdi/nvidia.yaml": spec.encode()}
    return box


box = machine()
box.files["/run/docker.sock"] = b""
report = box.probe()
if report["platform"]["container"]:
    print("left out: the tests themselves run in a container, so this is no machine with engines")
else:
    found("Docker without the toolkit", report, "CR-RUNTIME-NOT-CONFIGURED", "consistent", "/run/docker.sock", "NVIDIA's driver runs")

    report = with_cdi_file("535.54.03").probe()
    found("a CDI file of an earlier driver", report, "CR-CDI-STALE", "consistent", "libcuda.so.535.54.03", "550.54.14")
    not_found("a CDI file of an earlier driver", report, "CR-RUNTIME-NOT-CONFIGURED")
    not_found("a CDI file that fits", with_cdi_file("550.54.14").probe(), "CR-CDI-STALE", "CR-RUNTIME-NOT-CONFIGURED")

    box = machine()
    box.files |= {"/snap/docker/current/meta": b"", "/usr/bin/nvidia-ctk": b""}
    found("Docker as a snap", box.probe(), "CR-WRONG-DAEMON", "consistent", "/snap/docker/current")
finish()
