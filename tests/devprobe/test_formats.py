"""devprobe --format and --output: each form is read by what reads it elsewhere, and hostile names cannot break out of it.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=120"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

DEVPROBE = os.environ.get("DEVPROBE")
MACHINES = pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines"
HOSTILE = 'A "quoted"\\back\\slash\n::error::injected\n<b>&amp;]]> \x1b[31m \x9b31m \u202e {x="y"} 100% é'


def devprobe(*arguments, status=0):
    done = subprocess.run([DEVPROBE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode("utf-8")


def machine(name):
    return ["--from", str(MACHINES / name)]


# ---- readers ------------------------------------------------------------------------------------------------------------

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9]+)$')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def prometheus(text):
    """{name: [(labels, value)]}; every family has a TYPE before its first sample and stands in one piece."""
    families, declared, last = {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in declared, line
            declared.add(name)
            last = name
        elif not line.startswith("#"):
            found = SAMPLE.match(line)
            assert found, line
            name, labels, value = found.groups()
            assert name == last, line
            series = dict(LABEL.findall(labels or ""))
            assert (series, int(value)) not in families.get(name, []) and series not in [s for s, _ in families.get(name, [])], line
            families.setdefault(name, []).append((series, int(value)))
    return families


def nfd(text):
    """{label: value}, each as Kubernetes takes it."""
    labels = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.partition("=")
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", name), line
        assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value), line
        assert name not in labels, line
        labels[name] = value
    return labels


def github(text):
    """[(command or None, title, message)]: one per line."""
    results = []
    for line in text.splitlines():
        found = re.match(r"^::(error|warning|notice) title=([^:,]*)::(.*)$", line)
        if found:
            decode = lambda t: t.replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
            results.append((found[1], decode(found[2]), decode(found[3])))
        else:
            assert not line.startswith("::"), line
            results.append((None, None, line))
    return results


def junit(text):
    suite = ElementTree.fromstring(text).find("testsuite")
    cases = suite.findall("testcase")
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "skipped")}
    assert int(suite.get("tests")) == len(cases) and int(suite.get("failures")) == counts["failure"]
    assert int(suite.get("skipped")) == counts["skipped"]
    return {case.get("name"): case for case in cases}


# ---- tests --------------------------------------------------------------------------------------------------------------


def test_healthy():
    data = json.loads(devprobe(*machine("docker-gpu"), "--json"))
    families = prometheus(devprobe(*machine("docker-gpu"), "--format", "prometheus"))
    usable = {labels["id"]: value for labels, value in families["foghorn_device_usable"]}
    assert usable == {device["id"]: int(device["usable"]) for device in data["devices"]}
    assert families["foghorn_wrong"] == [({}, 0)] and "foghorn_finding" not in families
    assert families["foghorn_cpus_usable"] == [({}, data["cpu"]["usable"])]
    labels = nfd(devprobe(*machine("docker-gpu"), "--format", "nfd"))
    assert labels["foghorn-cuda.gpus"] == "1" and labels["foghorn-verdict"] == "OK" and "foghorn-cause" not in labels
    assert labels["foghorn-cuda.capability"] == "8.0" and labels["foghorn-cpu.isa"] == data["cpu"]["isa"]
    assert not [r for r in github(devprobe(*machine("docker-gpu"), "--format", "github")) if r[0] in ("error", "warning")]
    assert not [c for c in junit(devprobe(*machine("docker-gpu"), "--format", "junit")).values() if c.find("failure") is not None]
    assert json.loads(devprobe(*machine("docker-gpu"), "--format", "json")) == data


def test_broken():
    cause = "CR-CGROUP-LOST"
    families = prometheus(devprobe(*machine("cr-cgroup-lost"), "--format", "prometheus", status=1))
    assert families["foghorn_wrong"] == [({}, 1)]
    assert cause in [labels["id"] for labels, _ in families["foghorn_finding"]]
    assert [labels["cause"] for labels, value in families["foghorn_device_usable"] if value == 0] == [cause]
    assert nfd(devprobe(*machine("cr-cgroup-lost"), "--format", "nfd", status=1))["foghorn-cause"] == cause
    errors = [r for r in github(devprobe(*machine("cr-cgroup-lost"), "--format", "github", status=1)) if r[0] == "error"]
    assert any(cause in title and "\nfix: " in message for _, title, message in errors), errors
    cases = junit(devprobe(*machine("cr-cgroup-lost"), "--format", "junit", status=1))
    assert "EPERM" in cases[cause].find("failure").get("message") and cases["verdict"].find("failure") is not None


def test_conditions_and_matrix():
    arguments = ["require", *machine("cr-cgroup-lost"), "gpu", "cpus>=1"]
    cases = junit(devprobe(*arguments, "--format", "junit", status=1))
    assert "CR-CGROUP-LOST" in cases["gpu"].find("failure").get("message") and cases["cpus>=1"].find("failure") is None
    assert [r[0] for r in github(devprobe(*arguments, "--format", "github", status=1))] == ["error", None]
    rows = json.loads(devprobe("matrix", *machine("cr-cgroup-lost"), "--json"))["rows"]
    cases = junit(devprobe("matrix", *machine("cr-cgroup-lost"), "--format", "junit"))
    assert {row["name"]: not row["runs"] for row in rows} == {name: case.find("skipped") is not None for name, case in cases.items()}


def test_hostile_names(folder):
    """A driver may call its device anything."""
    shutil.copytree(MACHINES, folder, dirs_exist_ok=True)
    box = folder / "hostile"
    box.mkdir()
    (box / "snapshot.json").write_text(json.dumps({"schema": "foghorn.snapshot/1", "base": "../docker-gpu"}))
    answers = box / "answers"
    answers.mkdir()
    (answers / "cuda.json").write_text(json.dumps({
        "library": "/x", "init_code": 0, "version": 12040, "count_code": 0, "count": 1, "done": True,
        "devices": [{"index": 0, "name": HOSTILE, "uuid": HOSTILE, "pci": HOSTILE, "capability": 80, "memory_total": 1 << 30,
                     "memory_free": 1 << 30, "multiprocessors": 1, "context_code": 0}]}))
    name = ["--from", str(box)]
    data = subprocess.run([DEVPROBE, *name, "--json"], capture_output=True, check=False)
    assert HOSTILE in [device["name"] for device in json.loads(data.stdout)["devices"]], data.stdout
    assert b"\x1b" not in data.stdout and b"\xc2\x9b" not in data.stdout, data.stdout
    screen = devprobe(*name, "--verbose", status=data.returncode)
    assert "é" in screen and not set("\x1b\x9b\u202e") & set(screen), screen
    prometheus(devprobe(*name, "--format", "prometheus", status=data.returncode))
    assert len(nfd(devprobe(*name, "--format", "nfd", status=data.returncode))["foghorn-cuda.name"]) <= 63
    text = devprobe(*name, "--format", "github", status=data.returncode)
    assert "injected" in text and not [line for line in text.splitlines() if line.startswith("::error::")]
    github(text)
    cases = junit(devprobe(*name, "--format", "junit", status=data.returncode))
    assert "<b>&amp;]]>" in cases["cuda:0"].find("system-out").text


def test_output(folder):
    file = folder / "gpu.prom"
    file.write_text("old")
    os.link(file, folder / "link")
    assert devprobe(*machine("docker-gpu"), "--format", "prometheus", "--output", str(file)) == ""
    prometheus(file.read_text())
    assert (folder / "link").read_text() == "old", "the file was written in place: a reader could see half of it"
    assert file.stat().st_mode & 0o777 == 0o644 and not list(folder.glob("gpu.prom.*"))
    devprobe(*machine("docker-gpu"), "-o", str(folder / "no/such/place"), status=3)
    devprobe(*machine("docker-gpu"), "-o", str(folder), status=3)
    assert not list(folder.glob("*.??????"))


def test_refused():
    devprobe("--format", "yaml", status=2)
    devprobe("--json", "--format", "junit", status=2)
    devprobe("require", "--format", "nfd", "gpu", status=2)
    devprobe("require", *machine("docker-gpu"), "--format", "junit", "gpu", "--", "true", status=2)
    devprobe("--watch", "--format", "nfd", status=2)
    devprobe("--watch", "--wait", "3", status=2)
    devprobe("--every", "3", status=2)


def main():
    if not DEVPROBE:
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    test_healthy()
    test_broken()
    test_conditions_and_matrix()
    with tempfile.TemporaryDirectory() as folder:
        test_hostile_names(pathlib.Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        test_output(pathlib.Path(folder))
    test_refused()


if __name__ == "__main__":
    main()
