"""devprobe trace in real containers: what a program fails at and what devprobe finds there are one story. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes"""

import json
import pathlib
import re

from container import NVIDIA, Container, check, finish, live, not_run, require

require()
if re.search(r"^ *\d+ nvidia", pathlib.Path("/proc/devices").read_text(), re.M):
    not_run("this machine has NVIDIA's driver: these device nodes would work")
if not pathlib.Path("/usr/bin/python3").exists():
    not_run("the program to be traced is /usr/bin/python3, which is not installed")

# What a CUDA program does first, without its library: the devices, one after the other.
SEARCH = "import os, sys, time\nfor name in sys.argv[1:]:\n  try: os.close(os.open(name, os.O_RDWR))\n  except OSError: pass\ntime.sleep(0.3)\nsys.exit(3)"
NODES = [f"/dev/{name}" for name in NVIDIA]


def trace(box, *command):
    status, out, err = box.run("/devprobe", "trace", "--json", "--output", "/dev/stdout", "--", *command)
    try:
        return json.loads(out), status
    except json.JSONDecodeError:
        raise SystemExit(f"trace {command} in a container: exit status {status}\n{out}{err}") from None


def expect(case, box, verdict, cause, tied, *texts):
    """The story of a program that opens NVIDIA's devices in a container."""
    story, status = trace(box, "/usr/bin/python3", "-c", SEARCH, *NODES)
    found = story["cause"] or {"id": None, "tied": None, "remedy": []}
    check(f"{case}: exit status {status}", status == 3, story)
    check(f"{case}: verdict {story['verdict']}", story["verdict"] == verdict, story)
    check(f"{case}: cause {found['id']}", found["id"] == cause and found["tied"] == tied and found["remedy"] != [], story)
    for text in texts:
        check(f"{case}: {text}", text in story["headline"], story)
    check(f"{case}: idle time", story["idle_seconds"] >= 0.3, story)
    if found["id"] == cause:
        live(cause)
    return story


# Refused by the device control group, as root with all permission bits set.
box = Container(host=True)
box.nvidia_nodes()
story = expect("refused", box, "refused", "CR-CGROUP-NEVER", True, "python3 opened /dev/nvidiactl", "EPERM", "never touched a GPU again")
refused = [a["path"] for a in story["acts"] if a["errno"] == "EPERM" and a["deed"] == "open"]
check("refused: each device", refused == NODES, story)

box = Container(host=True)
box.allow_nvidia()
for name, (major, minor) in NVIDIA.items():
    box.bring(name, (major, minor, 0o666), f"/dev/{name}", "bind", "nodev")
expect("nodev", box, "refused", "CR-NODE-NODEV", True, "EACCES")

# The driver's library is missing in an image that asks for a GPU.
box = Container(host=True)
box.nvidia_nodes()
box.allow_nvidia()
story, status = trace(box, "/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')")
check("no library: exit status", status == 1, story)
check("no library", story["verdict"] == "missing" and "libcuda.so.1" in story["headline"], story)
check("no library: a cause", story["cause"] is not None, story)

# Nothing wrong, and a program that looks for nothing: no cause is made up.
story, status = trace(Container(host=True), "/bin/true")
check("nothing", status == 0 and story["verdict"] == "never" and story["cause"] is None, story)

# The program makes itself a place that devprobe does not see.
box = Container(host=True)
story, status = trace(box, "/devprobe", "trace", "--output", "/dev/null", "--", "/bin/true")
check("a tracer cannot be traced, and says so", status == 3, story)
finish()
