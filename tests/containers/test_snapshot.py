"""Snapshots made in real containers give the report that the container gives, and say nothing of its host. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 cross=no serial=yes"""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile

from container import Container, bind, check, finish, live, require

DEVPROBE = require()
folder = tempfile.TemporaryDirectory(prefix="foghorn-snapshot.")
out = pathlib.Path(folder.name)
out.chmod(0o777)
# Amounts that change from one look to the next.
MOVING = re.compile(r'"(\w*bytes|throttled)": \d+|nr_throttled \d+|\d+(\.\d+)? [KMG]iB')


def replay(*arguments):
    done = subprocess.run([DEVPROBE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def settled(report):
    """Without what moves, and the name that crun gave the container's group."""
    return json.loads(MOVING.sub(lambda m: f'"{m[1]}": 0' if m[1] else "N", json.dumps(report)))


def everything(archive):
    with tarfile.open(archive) as tar:
        return b"".join(m.name.encode() + b"\n" + tar.extractfile(m).read() for m in tar.getmembers())


def same(case, box, *causes):
    """The report in the container, that from a snapshot made in it, and that from a masked one."""
    box.mounts.append(bind(out, "/out", "bind", "rw"))
    box.environment |= {"SECRET_TOKEN": "planted-in-the-environment", "LD_LIBRARY_PATH": "/home/zacharias/lib"}
    there = box.probe()
    for name, more in (("plain", []), ("masked", ["--mask"])):
        status, said, err = box.run("/devprobe", "snapshot", f"/out/{name}.tar.gz", *more)
        check(f"{case}: {name}: made", status == 0 and "it gives the same report" in said, said + err)
        status, text, err = replay("--json", "--from", out / f"{name}.tar.gz")
        check(f"{case}: {name}: read", status in (0, 1) and text, err)
        here = json.loads(text) if text else None
        if name == "plain":
            check(f"{case}: the same report", settled(here) == settled(there), {"there": there, "here": here})
        verdicts = [[r["verdict"], r["wrong"], [(f["id"], f["confidence"]) for f in r["findings"]]] for r in (there, here)]
        check(f"{case}: {name}: the same verdict", verdicts[0] == verdicts[1], verdicts)
        content = everything(out / f"{name}.tar.gz")
        check(f"{case}: {name}: no secret", b"planted" not in content, case)
        check(f"{case}: {name}: a user's name", (b"zacharias" in content) == (name == "plain"), case)
        check(f"{case}: {name}: no name of a host", os.uname().nodename.encode() not in content or len(os.uname().nodename) < 7, case)
        (out / f"{name}.tar.gz").unlink()
    found = [f["id"] for f in there["findings"]]
    check(f"{case}: {causes}", all(cause in found for cause in causes), there)
    live(*causes)


same("a container like any other", Container())

box = Container()
box.nvidia_nodes()
same("nodes that nobody allowed", box, "CR-CGROUP-NEVER")

box = Container()
box.user = 65534
box.resources |= {"cpu": {"quota": 50000, "period": 100000}, "memory": {"limit": 1 << 29}}
same("another user, with limits", box)

box = Container()
box.mounts = [m for m in box.mounts if m["destination"] != "/sys"]
box.mounts = [m for m in box.mounts if not m["destination"].startswith("/sys/")]
same("no /sys", box)

# A container that holds nothing but devprobe: libarchive is not there, and is not missed before an archive is read.
box = Container()
box.mounts.append(bind(out, "/out", "bind", "rw"))
status, said, err = box.run("/devprobe", "snapshot", "/out/box.tar.gz", "-q")
check("an archive is written without libarchive", status == 0 and not said and not err, said + err)
status, said, err = box.run("/devprobe", "--from", "/out/box.tar.gz")
check("it cannot be read there, and that is said", status == 3 and "libarchive" in err and "unpack the archive with tar" in err, err)
status, said, err = box.run("/devprobe", "snapshot", "/out/box/")
check("a directory can", status == 0 and box.run("/devprobe", "--from", "/out/box")[0] in (0, 1), said + err)

folder.cleanup()
finish()
