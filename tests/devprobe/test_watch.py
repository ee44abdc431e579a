"""devprobe --watch and --wait, on a recorded machine that is changed while they look.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=120"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEVPROBE = os.environ.get("DEVPROBE")
MACHINES = pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines"
EVERY = "0.2"


class Box:
    """A machine whose faults come and go: a snapshot on a healthy base."""

    def __init__(self, folder):
        shutil.copytree(MACHINES, folder, dirs_exist_ok=True)
        self.folder = folder / "box"
        self.folder.mkdir()
        (self.folder / "snapshot.json").write_text(json.dumps({"schema": "foghorn.snapshot/1", "base": "../docker-gpu"}))

    def change(self, base):
        """Becomes another machine, all at once."""
        new = self.folder / "new.json"
        new.write_text(json.dumps({"schema": "foghorn.snapshot/1", "base": "../" + base}))
        new.rename(self.folder / "snapshot.json")


class Watch:
    def __init__(self, box, *arguments):
        self.process = subprocess.Popen([DEVPROBE, "--from", str(box.folder), "--watch", "--every", EVERY, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def line(self):
        return json.loads(self.process.stdout.readline())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert err == b"", err
        return self.process.returncode, out.decode()


def kinds(line):
    return [change["change"] for change in line["changes"]]


def test_json(box):
    watch = Watch(box, "--json")
    first = watch.line()
    assert first["schema"] == "foghorn.watch/1" and first["changes"] == [] and not first["wrong"], first
    box.change("cr-cgroup-lost")
    lost = watch.line()
    assert lost["wrong"] and lost["verdict"] == "NOT USABLE", lost
    assert [c["cause"] for c in lost["changes"] if c["change"] == "lost"] == ["CR-CGROUP-LOST"], lost
    assert [c["id"] for c in lost["changes"] if c["change"] == "finding"] == ["CR-CGROUP-LOST"], lost
    box.change("docker-gpu")
    back = watch.line()
    assert not back["wrong"] and "back" in kinds(back) and "cleared" in kinds(back), back
    status, rest = watch.end()
    assert (status, rest) == (0, ""), (status, rest)


def test_nothing_changes(box):
    watch = Watch(box, "--json")
    watch.line()
    time.sleep(5 * float(EVERY))
    assert watch.end(signal.SIGINT) == (0, "")


def test_text_and_status(box):
    box.change("cr-cgroup-lost")
    watch = Watch(box)
    first = watch.process.stdout.readline().decode()
    assert first.startswith("NOT USABLE: "), first
    status, rest = watch.end()
    assert status == 1 and "CR-CGROUP-LOST" in rest
    box.change("docker-gpu")


def test_file_is_kept(box, folder):
    file = folder / "gpu.prom"
    watch = Watch(box, "--format", "prometheus", "--output", str(file))
    wait_for(lambda: file.exists() and "foghorn_wrong 0" in file.read_text())
    box.change("cr-cgroup-lost")
    wait_for(lambda: "foghorn_wrong 1" in file.read_text())
    box.change("docker-gpu")
    wait_for(lambda: "foghorn_wrong 0" in file.read_text())
    assert watch.end() == (0, "")


def test_reader_goes_away(box):
    watch = Watch(box, "--json")
    watch.line()
    watch.process.stdout.close()
    assert watch.process.wait(timeout=30) == 0


def ends_at_once(process, number, *statuses):
    """Well before its time limit."""
    started = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=30) in statuses, process.returncode
    assert time.monotonic() - started < 5


def test_ended_while_busy(folder):
    """A signal ends it while a driver hangs, and while nobody takes what it writes."""
    fakes = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "tests/fakes"
    mark = folder / "asked"
    hangs = os.environ | {"LD_LIBRARY_PATH": str(fakes), "FOGHORN_FAKE_CUDA": "devices=1", "FOGHORN_FAKE_CUDA_FAULTS": "cuInit@1=hang",
                          "FOGHORN_FAKE_CUDA_LOG": str(mark)}
    if (fakes / "libcuda.so.1").exists() and not os.environ.get("FH_EMULATED"):
        for number in (signal.SIGINT, signal.SIGTERM):
            busy = subprocess.Popen([DEVPROBE, "--watch", "--timeout", "40"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=hangs)
            mark.unlink(missing_ok=True)
            wait_for(lambda: mark.exists() and "cuInit" in mark.read_text())
            ends_at_once(busy, number, 128 + number)
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    busy = subprocess.Popen([DEVPROBE, "--from", str(folder / "box"), "--watch", "-o", str(pipe)], stdin=subprocess.DEVNULL)
    time.sleep(2)
    ends_at_once(busy, signal.SIGTERM, 0, 128 + signal.SIGTERM)  # a slow machine is not there yet


def wait_for(test):
    end = time.monotonic() + 30
    while not test():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_wait(box):
    """A GPU that comes up late, as at boot."""
    box.change("cr-cgroup-lost")
    started = time.monotonic()
    base = [DEVPROBE, "require", "--from", str(box.folder)]
    late = subprocess.Popen([*base, "--wait", "60", "gpu", "--", "echo", "started"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    time.sleep(0.5)
    assert late.poll() is None
    box.change("docker-gpu")
    out, _ = late.communicate(timeout=30)
    assert late.returncode == 0 and out == b"started\n" and time.monotonic() - started < 20
    box.change("cr-cgroup-lost")
    never = subprocess.run([*base, "--wait", "0.5", "gpu"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert never.returncode == 1 and b"CR-CGROUP-LOST" in never.stdout
    report = subprocess.run([DEVPROBE, "--from", str(box.folder), "--wait", "0.3", "--expect", "gpu", "-q"], timeout=30, check=False)
    assert report.returncode == 1
    wrong = subprocess.run([*base, "--wait", "60", "gpus"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert wrong.returncode == 2, "a word that is no SPEC is not waited for"
    box.change("docker-gpu")


def main():
    if not DEVPROBE:
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        box = Box(folder)
        test_json(box)
        test_nothing_changes(box)
        test_text_and_status(box)
        test_file_is_kept(box, folder)
        test_reader_goes_away(box)
        test_ended_while_busy(folder)
        test_wait(box)


if __name__ == "__main__":
    main()
