#!/usr/bin/python3
"""Time of a report: devprobe against clinfo, lstopo and a script as Python packages have it. SPDX-License-Identifier: Apache-2.0

    report.py BUILD [--json FILE] [--rounds N]

All take turns in one run; every sample is a fresh process, the first round only warms the file cache. The peers each tell a part of
what a report tells. The rounds with an OpenCL driver that never answers are few, and whoever has not ended after LIMIT seconds is
ended. Without a peer the others are measured; figures are wall-clock time.
"""
import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 5  # seconds for somebody who waits for a driver that never answers
HUNG_ROUNDS = 3
HERE = pathlib.Path(__file__).resolve().parent
QUIET = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
NEW_MOUNTS = 0x20000  # CLONE_NEWNS


class WithoutDrivers:
    """A view of this machine without any registered OpenCL driver: an empty folder covers the place where they are named. (A
    variable would do for clinfo; devprobe would ask again without it, and say that the variable hides them.)"""

    def __init__(self):
        self.holder = self.namespace = None
        if os.geteuid() != 0 or not os.path.isdir("/etc/OpenCL") or not shutil.which("unshare"):
            return
        script = "mount --make-rprivate / && mount -t tmpfs tmpfs /etc/OpenCL && echo ready && exec cat"
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline().strip() == "ready":
            self.namespace = os.open(f"/proc/{self.holder.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def enter(self):
        if ctypes.CDLL(None).setns(self.namespace, NEW_MOUNTS) != 0:
            os._exit(126)

    def end(self):
        if self.holder:
            self.holder.communicate()


class Contender:
    def __init__(self, name, command, view=None, **changes):
        self.name, self.command, self.view, self.changes = name, [str(word) for word in command], view, changes
        self.times, self.ended, self.status = [], True, None

    def run(self):
        start = time.perf_counter()
        try:
            with subprocess.Popen(
                self.command, env=os.environ | self.changes, start_new_session=True, preexec_fn=self.view and self.view.enter, **QUIET
            ) as child:
                watch = threading.Timer(LIMIT, self.kill, [child.pid])
                watch.start()
                self.status = child.wait()  # without a limit of its own: that would look at the child only every now and then
                watch.cancel()
        except OSError as error:
            sys.exit(f"report.py: {self.command[0]}: {error}")
        return time.perf_counter() - start

    def kill(self, group):
        self.ended = False
        os.killpg(group, signal.SIGKILL)

    def row(self):
        ordered = sorted(self.times)
        row = {"name": self.name, "ended": self.ended, "status": self.status, "rounds": len(ordered)}
        return row | {"median_s": statistics.median(ordered), "p10_s": ordered[len(ordered) // 10], "p90_s": ordered[-1 - len(ordered) // 10]}


def take_turns(contenders, rounds):
    for turn in range(rounds + 1):
        for contender in contenders:
            seconds = contender.run()
            if turn:
                contender.times.append(seconds)


def show(contenders):
    for contender in contenders:
        row = contender.row()
        figure = f"{1e3 * row['median_s']:9.1f} ({1e3 * row['p10_s']:.1f}-{1e3 * row['p90_s']:.1f})"
        print(f"{contender.name:<48} {figure if contender.ended else f'   no end, killed after {LIMIT} s'}")


def peers():
    """Those that are installed; lstopo without a window, as clinfo and devprobe have none."""
    known = (("clinfo", ["clinfo"]), ("lstopo", ["lstopo-no-graphics", "--of", "console"]))
    for name, command in known:
        if shutil.which(command[0]):
            yield name, command
        else:
            print(f"NOT RUN: {name}: not installed (Debian: {'clinfo' if name == 'clinfo' else 'hwloc-nox'})")


def static_program(build):
    program = build / "static/devprobe-static"
    if not program.exists():
        print("NOT RUN: devprobe-static: it is not part of this build (Debian: musl-dev)")
    return [program] if program.exists() else []


def usual(build):
    static = static_program(build)
    alone = {"PATH": "/nonexistent", "FOGHORN_PROBE": ""}
    contenders = [Contender("devprobe", [build / "devprobe"])]
    contenders += [Contender("devprobe-static alone", [program], **alone) for program in static]
    contenders += [Contender("devprobe-static --version", [program, "--version"]) for program in static]
    contenders += [Contender(name, command) for name, command in peers()]
    return contenders + [Contender("collect_env-like script", [sys.executable, HERE / "peers/collect_env.py"])]


def without_drivers(contenders, view):
    """Those for whom it makes a difference."""
    if view.namespace is None:
        print("NOT RUN: no OpenCL driver: hiding those of this machine takes root and unshare, and an /etc/OpenCL to cover")
        return []
    chosen = [c for c in contenders if c.name in ("devprobe", "devprobe-static alone", "clinfo")]
    return [Contender(f"no OpenCL driver: {c.name}", c.command, view, **c.changes) for c in chosen]


def hung(build, folder):
    """The same question where one registered OpenCL driver never comes back."""
    library = next((build / "tests/fakes").glob("libicd_fault.so"), None)
    if not library:
        print("NOT RUN: a driver that hangs: the stand-in (target fake_icd_fault) is not built")
        return []
    (folder / "hung.icd").write_text(f"{library.resolve()}\n")
    changes = {"OCL_ICD_VENDORS": str(folder), "FH_FAKE_ICD": "load-hang"}
    contenders = [Contender("hung driver: devprobe --timeout 2", [build / "devprobe", "--timeout", "2"], **changes)]
    return contenders + [Contender(f"hung driver: {name}", command, **changes) for name, command in peers() if name == "clinfo"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    build = options.build.resolve()
    if not (build / "devprobe").exists() or options.rounds < 1:
        sys.exit(f"report.py: {build / 'devprobe'} is missing, or --rounds is less than 1")
    view = WithoutDrivers()
    contenders = usual(build)
    contenders += without_drivers(contenders, view)
    take_turns(contenders, options.rounds)
    view.end()
    with tempfile.TemporaryDirectory(prefix="foghorn-bench.") as folder:
        waiting = hung(build, pathlib.Path(folder))
        take_turns(waiting, min(HUNG_ROUNDS, options.rounds))
    print("ms, median (p10-p90)")
    show(contenders + waiting)
    sizes = {program.name: program.stat().st_size for program in static_program(build)}
    for name, size in sizes.items():
        print(f"{name}: {size} bytes ({size / 1024:.0f} KiB), one file")
    if options.json:
        rows = [contender.row() for contender in contenders + waiting]
        document = {"schema": "foghorn.bench/1", "bench": "report", "cpus": len(os.sched_getaffinity(0)), "bytes": sizes, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    # devprobe's status 1 is an answer: something expected is unusable.
    sys.exit(1 if any(c.status not in (0, 1) for c in contenders if c.name.startswith("devprobe")) else 0)


main()
