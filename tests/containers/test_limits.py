"""devprobe in real containers with limits on CPU time, CPUs and memory. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes"""

import json
import os
import pathlib
import subprocess

from container import CGROUP_MOUNT, UNIFIED, Container, bind, check, devprobe, evidence, finding, finish, live, require

require()
GiB = 1 << 30
HALF = {"quota": 50000, "period": 100000}
HALF_OF_PARENT = {"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"}
CPUS = sorted(os.sched_getaffinity(0))
MANY = len(CPUS) > 1
ALL_CPUS = ",".join(map(str, CPUS))


def limited(**resources):
    box = Container(host=True)
    box.resources |= resources
    return box


# The machine's own control groups in full view, as `docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:ro` shows them.
def show_all_groups(box):
    box.mounts[box.mounts.index(CGROUP_MOUNT)] = bind("/sys/fs/cgroup", "/sys/fs/cgroup", "rbind", "ro")


def named(case, report, cause, *words):
    """The cause is found, with these words as evidence."""
    said = evidence(report, cause)
    check(f"{case}: {cause} {words}", finding(report, cause) and all(word in said for word in words), report)
    if finding(report, cause) and all(word in said for word in words):
        live(cause)


# ---- half a CPU's time on one CPU ---------------------------------------------------------------------------------------

for namespaces in ([], ["cgroup"]):
    box = limited(cpu=HALF | {"cpus": str(CPUS[-1])}, memory={"limit": GiB})
    box.namespaces += namespaces
    report = box.probe()
    cpu, memory = report["cpu"], report["memory"]
    case = f"half of one CPU, namespaces {namespaces}"
    check(f"{case}: platform", report["platform"]["kind"] == "oci" and report["platform"]["container"], report)
    check(f"{case}: one CPU", cpu["usable"] == 1 and cpu["affinity"] == str(CPUS[-1]) and cpu["cpuset"] == str(CPUS[-1]), report)
    check(f"{case}: the quota and its group", cpu["quota"] == 1 and (cpu["quota_level"] or "").startswith("/sys/fs/cgroup"), report)
    check(f"{case}: the device says so", "1 of" in report["devices"][0]["detail"] or os.cpu_count() == 1, report)
    check(f"{case}: nothing is wrong", not report["wrong"], report)
    if os.cpu_count() > 1:
        named(case, report, "CG-CPUSET-NARROW", f"{os.cpu_count()} CPUs in the machine")
    # One CPU's time on one CPU: nobody is throttled by starting a thread for each.
    check(f"{case}: no throttling", not finding(report, "CG-QUOTA-OVERSUB"), report)
    check(f"{case}: memory", memory["limit_bytes"] == GiB and memory["usable_bytes"] <= GiB, report)
    named(case, report, "CG-MEM-MISREAD", f"limit {GiB} bytes", f"MemTotal {memory['total_bytes']} bytes")

# ---- time limits on every CPU, here and above -----------------------------------------------------------------------------

report = limited(cpu=HALF | {"cpus": ALL_CPUS}).probe()
check("own quota: group", report["cpu"]["quota"] == 1 and report["cpu"]["usable"] == 1, report)
check("own quota: not the parent's", not finding(report, "CG-QUOTA-ANCESTOR"), report)
if MANY:
    named("own quota", report, "CG-QUOTA-OVERSUB", "CPU time of at most 1 CPUs")

box = limited(cpu={"cpus": ALL_CPUS})
box.parent_limits = HALF_OF_PARENT
show_all_groups(box)
report = box.probe()
check("parent's quota: usable", report["cpu"]["usable"] == 1 and report["cpu"]["quota"] == 1, report)
check("parent's quota: level", (report["cpu"]["quota_level"] or "").endswith(f"/{box.group}"), report)
check("parent's quota: not our own", not finding(report, "CG-QUOTA-OVERSUB"), report)
if MANY:
    named("parent's quota", report, "CG-QUOTA-ANCESTOR", f"/{box.group}: CPU time of at most 1 CPUs")

# With a namespace (and in version 1 with only its own group mounted) a container cannot see what its parents set: nothing is made up.
for namespaces in (["cgroup"],) if UNIFIED else ([], ["cgroup"]):
    box = limited(cpu={"cpus": ALL_CPUS})
    box.parent_limits = HALF_OF_PARENT | {"memory.limit_in_bytes": str(GiB)}
    box.namespaces += namespaces
    report = box.probe()
    case = f"parent's quota out of sight, namespaces {namespaces}"
    check(f"{case}: none claimed", report["cpu"]["quota"] is None and report["cpu"]["quota_level"] is None, report)
    check(f"{case}: usable", report["cpu"]["usable"] == len(CPUS), report)
    check(f"{case}: no cause", not finding(report, "CG-QUOTA-ANCESTOR") and not finding(report, "CG-QUOTA-OVERSUB"), report)
    if not UNIFIED:  # version 1 tells of the parents' memory limit in memory.stat
        check(f"{case}: the parent's memory limit", report["memory"]["limit_bytes"] == GiB, report)

# The namespace's view of the machine's full tree: the mount shows groups above the root of the namespace.
box = limited(cpu=HALF | {"cpus": ALL_CPUS}, memory={"limit": GiB})
box.namespaces += ["cgroup"]
show_all_groups(box)
report = box.probe()
check("full tree in a namespace: quota", report["cpu"]["quota"] == 1 and report["cpu"]["usable"] == 1, report)
level = report["cpu"]["quota_level"] or ""
check("full tree in a namespace: level", level.endswith(f"/{box.group}/container"), report)
check("full tree in a namespace: memory", report["memory"]["limit_bytes"] == GiB, report)

# ---- no container: a hybrid machine names itself ----------------------------------------------------------------------------

mounts = pathlib.Path("/proc/self/mountinfo").read_text()
report = json.loads(subprocess.run([devprobe(), "--json"], capture_output=True, text=True, check=False, timeout=60).stdout)
if " - cgroup2 " in mounts and "cpuset" in mounts and not UNIFIED:
    named("this machine", report, "CG-V1-V2-HYBRID", "both forms of control groups")
elif UNIFIED:
    check("this machine has one form", not finding(report, "CG-V1-V2-HYBRID"), report)
finish()
