#!/usr/bin/python3
"""The peers of a GPU, tried without one: Foghorn on the stand-in driver and PyTorch on the CPU give the same results in one process; what is
not there is NOT RUN; and a wrong result is seen. SPDX-License-Identifier: Apache-2.0
TEST: label=full timeout=240 plain=yes"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE, BUILD = pathlib.Path(os.environ["FH_SOURCE_DIR"]), pathlib.Path(os.environ["FH_BINARY_DIR"])
SCRIPT, LIBRARY = SOURCE / "bench/gpu/peers.py", BUILD / "bench/gpu/libgpu_bench.so"
for module in ("numpy", "torch"):
    try:
        __import__(module)
    except ImportError as error:
        print(f"NOT RUN: {error} (Debian: python3-{module})")
        sys.exit(77)
if not LIBRARY.exists():
    print("NOT RUN: this build has no benchmarks")
    sys.exit(77)


def run(*options, **environment):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "peers.json")
        done = subprocess.run([sys.executable, SCRIPT, "--library", LIBRARY, "--out", out, "--case-seconds", "0.01", *options], capture_output=True,
                              text=True, timeout=200, env=os.environ | environment)
        return done, json.loads(out.read_text()) if out.exists() else None


fakes = {"LD_LIBRARY_PATH": str(BUILD / "tests/fakes")}
done, document = run("--fake", **fakes)
if "no PTX" in done.stdout:
    print("NOT RUN: this build has no PTX, so no kernel can run on the stand-in")
    sys.exit(77)
assert done.returncode == 0 and document["fake"] is True, done
compared = {r["name"] for row in document["rows"] for r in row["results"] if r["kind"] == "peer" and "median_s" in r}
assert {"PyTorch f32", "PyTorch bf16", "PyTorch product, index_add", "PyTorch cdist, index_add", "PyTorch product, topk"} <= compared, compared
assert all(row["value"] > 0 for row in document["rows"] if row["target"] in ("matmul_f32", "matmul_bf16", "kmeans", "topk")), document["rows"]
assert not any("WRONG" in r.get("not_run", "") for row in document["rows"] for r in row["results"]), document["rows"]
print(done.stdout.splitlines()[-1])

# A case that takes its process along is named, and there is another process for the next ones; by then the time is used up.
done, crashed = run("--fake", "--seconds", "0.5", FOGHORN_FAKE_CUDA_FAULTS="cuLaunchKernel@1=crash", **fakes)
reasons = [row.get("not_run") for row in crashed["rows"]]
assert done.returncode == 1 and "FAIL: a process ended with status -11" in done.stdout, done
assert len(reasons) == len(document["rows"]) and reasons[0] == "its process crashed", reasons
assert reasons[-1] == "the time for this part was used up" and "reached" not in crashed, crashed

# Without --fake the stand-in is refused.
done, document = run(**fakes)
assert done.returncode == 77 and document is None and "NOT RUN" in done.stdout, done

# A folder of modules that fail to load stands for a machine without them.
with tempfile.TemporaryDirectory() as empty:
    for module in ("torch", "cupy", "triton"):
        pathlib.Path(empty, f"{module}.py").write_text("raise ImportError('taken away by the test')\n")
    done, document = run("--fake", PYTHONPATH=empty, **fakes)
    assert done.returncode == 77 and "NOT RUN: nothing could be compared" in done.stdout, done
    assert all("taken away" in r["not_run"] for row in document["rows"] for r in row["results"] if r["kind"] == "peer"), document["rows"]

# Wrong results are seen, NaN and other shapes too.
sys.path.insert(0, str(SCRIPT.parent))
import numpy  # noqa: E402
import peers  # noqa: E402  bench/gpu/peers.py

peers.MODULES["numpy"] = numpy
right = numpy.array([1, 2, 3], "float32")
for wrong, is_wrong in ((right, False), (right * numpy.float32(1 + 1e-6), False), (right + 1, True), (right[:2], True), (right * numpy.nan, True)):
    try:
        peers.check({"y": right}, (wrong,), 1e-3)
        assert not is_wrong, wrong
    except peers.Cannot as error:
        assert is_wrong and "WRONG" in str(error), (wrong, error)
