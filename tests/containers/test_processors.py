"""devprobe in real containers that refuse threads, NUMA calls and locked memory, or hide the processor. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes sanitize=no"""

import errno
import json
import os
import tempfile

from container import Container, bind, check, evidence, finding, finish, live, mount, require

require()


def found(case, report, cause, confidence, *words):
    one = finding(report, cause)
    check(f"{case}: {cause}", one and one["confidence"] == confidence, report)
    for word in words:
        check(f"{case}: {word}", word in evidence(report, cause), report)
    if one and one["confidence"] == confidence and all(word in evidence(report, cause) for word in words):
        live(cause)


def silent(case, report, *causes):
    for cause in causes:
        check(f"{case}: not {cause}", not finding(report, cause), report)


LIMITS = ("CPU-THREADS-EPERM", "CG-PIDS-LIMIT", "CPU-NUMA-SECCOMP", "CG-MEMLOCK")
HIDDEN = ("CPU-TOPOLOGY-HIDDEN", "CPU-LXCFS-VIEW", "CPU-EMULATED", "CPU-DENORMALS")
silent("an ordinary container", Container(host=True).probe(), *LIMITS, *HIDDEN)

# ---- threads: EPERM is a filter, EAGAIN is a number ---------------------------------------------------------------------------

box = Container(host=True)
box.refuse("clone3", number=errno.EPERM)
report = box.probe()
found("clone3 refused", report, "CPU-THREADS-EPERM", "proven", "pthread_create in a child: EPERM", "clone3: EPERM", "Seccomp: 2")
silent("clone3 refused", report, "CG-PIDS-LIMIT")

box = Container(host=True)
box.refuse("clone3", number=errno.ENOSYS)  # as a filter should: the library falls back
silent("clone3 unknown", box.probe(), "CPU-THREADS-EPERM", "CG-PIDS-LIMIT")

# devprobe and a child that answers fit; another thread does not.
box = Container(host=True)
box.resources["pids"] = {"limit": 1}
report = box.probe()
found("one task", report, "CG-PIDS-LIMIT", "consistent", "pids.max 1")
silent("one task", report, "CPU-THREADS-EPERM")
_, out, _ = box.run("/devprobe", "--answer", "process")
check("one task: the trial itself", '{"thread":"EAGAIN"}' in out, out)

box = Container(host=True)
box.resources["pids"] = {"limit": 500}
silent("many tasks", box.probe(), "CG-PIDS-LIMIT", "CPU-THREADS-EPERM")

# ---- memory nodes: two are shown in place of this machine's own, as there is nothing to place on one ---------------------------------

NUMA = ("mbind", "set_mempolicy", "get_mempolicy")
for number, case in ((errno.EPERM, "NUMA calls refused"), (errno.ENOSYS, "NUMA calls unknown")):
    box = Container(host=True)
    box.refuse(*NUMA, number=number)
    box.bring("online", b"0-1\n", "/sys/devices/system/node/online")
    report = box.probe()
    if number == errno.EPERM:
        found(case, report, "CPU-NUMA-SECCOMP", "proven", *(f"{name}: EPERM" for name in NUMA), "Seccomp: 2", "2 memory nodes")
    else:
        silent(case, report, "CPU-NUMA-SECCOMP")

# ---- locked memory: a node as InfiniBand cards have it, without a card behind it -------------------------------------------------------

box = Container(host=True)
box.limits = {"RLIMIT_MEMLOCK": 65536}
box.node("infiniband/uverbs0", 231, 192)
found("64 KiB to lock", box.probe(), "CG-MEMLOCK", "proven", "Max locked memory 65536", "ENOMEM")
box = Container(host=True)
box.limits = {"RLIMIT_MEMLOCK": 65536}
silent("64 KiB to lock, and no card", box.probe(), "CG-MEMLOCK")

# ---- a limit filled by a file that was just written -------------------------------------------------------------------------------------

with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="foghorn-test-") as disk:
    box = Container(host=True)
    box.mounts.append(bind(disk, "/tmp", "bind", "rw"))
    box.resources["memory"] = {"limit": 64 << 20}
    fill = "dd if=/dev/zero of=/tmp/file bs=1M count=100 conv=fsync 2>/dev/null; exec /devprobe --json"
    box.devices.append({"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0})
    box.allow(1)
    _, out, _ = box.run("/bin/sh", "-c", fill)
    report = json.loads(out)
    found("100 MiB written under a limit of 64 MiB", report, "CG-MEM-PAGECACHE", "consistent", "inactive_file")
silent("no limit", Container(host=True).probe(), "CG-MEM-PAGECACHE")

# ---- a covered /sys ---------------------------------------------------------------------------------------------------------------------

box = Container(host=True)
box.mounts.append(mount("/sys/devices/system/cpu", "tmpfs", "ro"))
report = box.probe()
found("a tmpfs over the CPUs", report, "CPU-TOPOLOGY-HIDDEN", "consistent", "tmpfs on /sys/devices/system/cpu")
check("a tmpfs over the CPUs: they are counted all the same", report["cpu"]["usable"] == len(os.sched_getaffinity(0)), report)
finish()
