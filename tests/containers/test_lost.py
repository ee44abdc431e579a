"""A container that loses its right to the GPU's device files while it runs. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes

Real: the container, its device control group of version 1, the rules that are taken away, the errno of each open. The device
files have NVIDIA's numbers; where no driver stands behind them, opening gives ENXIO before and EPERM after."""

import json
import threading

from container import CGROUPS, NVIDIA, UNIFIED, Container, check, found, finish, not_found, not_run, report_of, require

require()
if UNIFIED:
    not_run("this machine has control groups of version 2 only, whose device filter is a program that cannot be rewritten from outside")


def take_rights(box):
    """What a reload of systemd leaves: the files may be made, not opened."""
    group = CGROUPS / "devices" / box.group / "container"
    for major in sorted({major for major, _ in NVIDIA.values()}):
        (group / "devices.deny").write_text(f"c {major}:* rw")


def give_back(box):
    group = CGROUPS / "devices" / box.group / "container"
    for major in sorted({major for major, _ in NVIDIA.values()}):
        (group / "devices.allow").write_text(f"c {major}:* rwm")


box = Container(host=True)
box.nvidia_nodes()
box.allow_nvidia()
with box.running() as inside:
    before = report_of(*inside("/devprobe", "--json"))
    not_found("at first", before, "CR-CGROUP-LOST", "CR-CGROUP-NEVER")

    take_rights(box)
    after = report_of(*inside("/devprobe", "--json"))
    found("rights taken away", after, "CR-CGROUP-LOST", "consistent", "/dev/nvidiactl: EPERM", "/dev/nvidia-uvm: EPERM", "has shrunk")
    check("rights taken away: it is the first finding", after["findings"][0]["id"] == "CR-CGROUP-LOST", after)
    check("rights taken away: an error", after["wrong"] and after["verdict"] == "NOT USABLE", after)
    not_found("rights taken away", after, "CR-CGROUP-NEVER")

    give_back(box)
    again = report_of(*inside("/devprobe", "--json"))
    not_found("rights given back", again, "CR-CGROUP-LOST", "CR-CGROUP-NEVER")

# ---- --watch sees it ------------------------------------------------------------------------------------------------------

box = Container(host=True)
box.nvidia_nodes()
box.allow_nvidia()
with box.running() as inside:
    losing = threading.Timer(3, take_rights, [box])
    losing.start()
    status, out, err = inside("/usr/bin/timeout", "-s", "INT", "8", "/devprobe", "--watch", "--every", "0.5", "--json")
    losing.join()
    said = {"status": status, "out": out, "err": err}
    first, *later = [json.loads(line) for line in out.splitlines()]
    check("--watch: nothing is lost at first", "CR-CGROUP-LOST" not in json.dumps(first), said)
    check("--watch: it tells the loss", any("CR-CGROUP-LOST" in json.dumps(line["changes"]) for line in later), said)
finish()
