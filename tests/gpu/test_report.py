#!/usr/bin/python3
"""What a GPU check writes down: its schema, its targets, and that nothing of the stand-in driver can pass for a device's result; the same for
what is committed. SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("NOT RUN: the Python package jsonschema is not installed (Debian: python3-jsonschema)")
    sys.exit(77)

SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])
PROGRAM = pathlib.Path(os.environ["FH_BINARY_DIR"], "bench/gpu/gpu_bench")
SCHEMA = json.loads((SOURCE / "docs/gpu-check.schema.json").read_text())
jsonschema.Draft7Validator.check_schema(SCHEMA)
REAL = "cuda:0    NVIDIA Test 80GB, CUDA 13.0 libcuda.so.1, 0000:01:00.0, 81559 MiB\n"
FAKE = "cuda:0    FAKE: NVIDIA Test 80GB, CUDA 13.0 libcuda.so.1, 0000:01:00.0, 1024 MiB\n"

if not PROGRAM.exists():
    print("NOT RUN: this build has no benchmarks")
    sys.exit(77)


def errors_of(document):
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in jsonschema.Draft7Validator(SCHEMA).iter_errors(document)]


def row(target, case, value=None, **more):
    return {"kernel": "matmul", "case": case, "target": target, "results": [{"name": "Foghorn", "kind": "foghorn", "not_run": "a test"}]} | (
        {} if value is None else {"value": value}) | more


def measurement(rows, fake=False, **more):
    return {"schema": "foghorn.gpu-measurement/1", "fake": fake, "limits": [{"name": "read", "unit": "B/s", "not_run": "a test"}], "rows": rows} | more


def report(devices, bench=None, peers=None, options=()):
    """The documents that a report writes, by file name, and what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "devices").write_text(devices)
        (folder / "steps").write_text("kernels on CUDA\tpass\t3\tall\nbench\tcut\t0\tnot begun: a test\n")
        for name, document in (("bench", bench), ("peers", peers)):
            if document:
                (folder / f"{name}.json").write_text(json.dumps(document))
        done = subprocess.run([PROGRAM, "report", folder, "--dir", folder / "results", *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        files = {path.name: json.loads(path.read_text()) for path in (folder / "results").glob("*.json")} if (folder / "results").exists() else {}
        for name, document in files.items():
            assert not errors_of(document), (name, errors_of(document))
            markdown = (folder / "results" / name).with_suffix(".md").read_text()
            assert ("FAKE" in markdown.splitlines()[0]) == document["fake"], markdown
        return files, done.stdout


def targets_of(document):
    return {t["id"]: t for t in document["targets"]}


# A device: met, missed, partly measured, not measured at all, and each with its reason.
bench = measurement([row("matmul_f32", "1"), row("matmul_f32", "2", 0.95), row("copies", "a", 0.95), row("copies", "b", 0.5), row("launch", "one", 1.0),
                     row("launch_host", "one", 2e-6), row("memory", "a", 0.91), row("memory", "b", not_run="no room")])
peers = measurement([row("matmul_f32", "1", 0.92), row("", "1", 0.01)], libraries={"torch": "2.0"})
files, printed = report(REAL, bench, peers)
assert len(files) == 1 and list(files)[0].startswith("nvidia-test-80gb-20"), files.keys()
(document,) = files.values()
found = targets_of(document)
assert document["fake"] is False and document["libraries"] == {"torch": "2.0"} and document["steps"][1]["result"] == "cut", document
assert found["matmul_f32"]["met"] is True and found["matmul_f32"]["worst"] == 0.92 and found["matmul_f32"]["missing"] == 0, found["matmul_f32"]
assert found["copies"]["met"] is False and found["copies"]["worst_case"] == "b", found["copies"]
assert found["launch"]["met"] is True and found["launch_host"]["met"] is False, found
assert found["memory"]["met"] is None and found["memory"]["missing"] == 1 and found["memory"]["not_run"] == "no room", found["memory"]
assert found["topk"]["met"] is None and "worst" not in found["topk"] and found["topk"]["not_run"] == "not begun: a test", found["topk"]
assert "FAKE" not in printed and "NOT RUN" in printed and "missed" in printed, printed

# One thing of the stand-in is enough, whatever the rest says; and then there is no verdict.
for devices, bench_fake, peers_fake, options in ((FAKE, False, False, ()), (REAL, True, False, ()), (REAL, False, True, ()), (REAL, False, False, ("--fake",))):
    files, printed = report(devices, bench | {"fake": bench_fake}, peers | {"fake": peers_fake}, options)
    assert len(files) == 1 and list(files)[0].startswith("FAKE-"), (devices, options, files.keys())
    (document,) = files.values()
    assert document["fake"] is True and all(t["met"] is None for t in document["targets"]), document
    assert "FAKE, no GPU was measured" in printed and " met " not in printed and " missed " not in printed, printed

# Nothing measured: every target says so. No device: no result at all.
(document,) = report(REAL)[0].values()
assert all(t["met"] is None and t["not_run"] == "not begun: a test" for t in document["targets"]), document["targets"]
assert report("NOT RUN: cuda: no driver\n", bench, peers)[0] == {}

# The schema refuses what must not be.
assert errors_of(document | {"fake": "no"}) and errors_of({k: v for k, v in document.items() if k != "fake"})

# What is committed is of devices.
committed = 0
for path in sorted((SOURCE / "bench/results").glob("*.json")):
    stored = json.loads(path.read_text())
    assert not path.name.startswith("FAKE"), f"{path.name}: a result of the stand-in driver is no result"
    if stored["schema"] != "foghorn.gpu/1":
        continue
    committed += 1
    assert not errors_of(stored), (path.name, errors_of(stored))
    assert stored["fake"] is False and not any("FAKE" in d for d in stored["devices"]), f"{path.name} is of the stand-in driver"
print(f"{committed} committed results of GPUs" if committed else "NOT RUN: no result of a GPU is committed: none has been measured")
