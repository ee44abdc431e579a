"""devprobe in containers that give it next to nothing. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes"""

from container import CGROUP_MOUNT, Container, check, finish, mount, require

require()


def without(box, *destinations):
    box.mounts = [m for m in box.mounts if m["destination"] not in destinations]


def answers(case, box, *arguments):
    """probe() demands exit status 0 or 1 and JSON that obeys the schema."""
    report = box.probe(*arguments)
    cpu = report["devices"][0]
    check(f"{case}: the CPU is usable", cpu["id"] == "cpu:0" and cpu["usable"], report)
    check(f"{case}: no GPU made up", not any(d["usable"] and d["backend"] == "cuda" for d in report["devices"]), report)
    check(f"{case}: nothing is wrong", not report["wrong"], report)
    return report


# No shell, no loader cache, no /usr, /etc, /bin; a read-only root.
box = Container()
status, out, err = box.run("/bin/sh", "-c", "true")
check("the container has no shell", status != 0, {"status": status, "stdout": out, "stderr": err})
report = answers("nothing but devprobe", Container())
check("nothing but devprobe: platform", report["platform"]["container"], report)

box = Container()
without(box, "/tmp")
answers("nothing can be written", box)

box = Container()
box.user = 4711
answers("a user without a name", box)

# ---- /proc and /sys covered, in the ways that engines and operators cover them -----------------------------------------------

box = Container()
box.masked = ["/sys/devices", "/sys/bus", "/sys/class", "/sys/firmware", "/sys/module"]
report = answers("a covered /sys", box)

box = Container()
box.masked = ["/proc/cpuinfo", "/proc/meminfo", "/proc/devices", "/proc/version", "/proc/cmdline", "/proc/driver"]
report = answers("covered files of /proc", box)
check("covered files of /proc: total memory is not known, and not 0", report["memory"]["total_bytes"] is None, report)

box = Container()
without(box, "/sys", CGROUP_MOUNT["destination"])
report = answers("no /sys", box)
check("no /sys: no limit is claimed", report["cpu"]["quota"] is None and report["memory"]["limit_bytes"] is None, report)

# The sandbox of an operator who covers the PCI list: what is covered is not absent.
box = Container()
box.mounts.append(mount("/sys/bus/pci/devices", "tmpfs", "ro", "size=4k"))
box.environment["NVIDIA_VISIBLE_DEVICES"] = "all"
report = box.probe()
ids = [f["id"] for f in report["findings"]]
check("a covered PCI list: no claim of missing hardware", report["wrong"] and "NV-NO-HARDWARE" not in ids, report)

# Expected all the same: says so, by status and in words.
report = Container().probe("--expect", "cuda>=1")
check("expected and not here", report["wrong"] and report["verdict"] == "NOT USABLE" and report["findings"], report)

status, out, err = Container().run("/devprobe")
check("the screen", status == 0 and "cpu:0" in out and err == "", {"status": status, "stdout": out, "stderr": err})
finish()
