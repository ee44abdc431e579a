# devprobe explain with a device beside the CPU: transfers, sizes at which the choice changes, what-if. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=60 fakes=yes cross=no
import json
import os
import subprocess
import sys
import tempfile

devprobe = os.environ["DEVPROBE"]
environment = {**os.environ, "FOGHORN_FAKE_CUDA": "devices=1,memory=2GiB", "FOGHORN_CACHE_DIR": ""}
shape = "64x1024x1024"


def run(status, *arguments, changes=None):
    done = subprocess.run([devprobe, *arguments], capture_output=True, text=True, timeout=50, env={**environment, **(changes or {})})
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def explain(*arguments, changes=None):
    return run(0, "explain", "matmul", shape, "--allow-fake", *arguments, changes=changes).stdout


def device_of(decision):
    return next(c for c in decision["candidates"] if c["variant"] == "cuda:0")


decision = json.loads(explain("--json"))
if not any(c["variant"] == "cuda:0" for c in decision["candidates"]) or "not built" in device_of(decision).get("reason", ""):
    print("NOT RUN: no PTX in this build, or no stand-in driver")
    sys.exit(77)

# What has to move: a and b there, c back, 4 bytes each.
transfer = device_of(decision)["transfer"]
assert transfer["to_device"]["bytes"] == 4 * 1024 * (64 + 1024) and transfer["to_device"]["copies"] == 2, transfer
assert transfer["from_device"]["bytes"] == 4 * 64 * 1024 and transfer["from_device"]["bandwidth"] == "guess", transfer
assert 0 < transfer["seconds"] < device_of(decision)["predicted_seconds"], decision
assert all("transfer" not in c for c in decision["candidates"] if c["variant"].startswith("cpu")), decision
assert "transfer" in explain() and "4.46 MB there at 6 GB/s (a guess), 0.262 MB back" in explain()

# Sizes: what is chosen from one row on, then in growing order; with the data there the device is never chosen later.
crossover = decision["crossover"]
assert crossover["rows"] == 64 and crossover["resident_on"] == "cuda:0", crossover
for choices in crossover["data_on_host"], crossover["data_resident"]:
    rows = [c["from_rows"] for c in choices]
    assert rows[0] == 1 and rows == sorted(set(rows)), choices
    assert all(a["device"] != b["device"] for a, b in zip(choices, choices[1:])), choices
assert "chosen by the number of rows (here 64)" in explain()
assert "crossover" not in json.loads(run(0, "explain", "matmul", shape, "--device", "cpu", "--json").stdout)

# What if: the decision as it is stays the same, the other one has the assumed link.
both = json.loads(explain("--json", "--assume", "cuda:0:link=25GB/s,latency=1us"))
assert both["assuming"]["what"] == "cuda:0:link=25GB/s,latency=1us"
assumed = device_of(both["assuming"]["decision"])["transfer"]
assert device_of(both)["transfer"] == transfer, both
assert assumed["to_device"]["bytes_per_s"] == 25e9 and assumed["to_device"]["bandwidth"] == assumed["to_device"]["latency"] == "assumed", assumed
assert assumed["seconds"] < transfer["seconds"], (assumed, transfer)
assert "\nassuming link=25GB/s:\n" in explain("--assume", "link=25GB/s")
assert "link=RATE" in run(2, "explain", "matmul", shape, "--allow-fake", "--assume", "link=fast").stderr
assert "memory of its own" in run(3, "explain", "matmul", shape, "--device", "cpu", "--assume", "link=1GB/s").stderr

# Measured for the profile, used by the next process, and shown by the report where it was kept.
with tempfile.TemporaryDirectory(prefix="foghorn-explain-test.") as cache:
    kept = {"FOGHORN_CACHE_DIR": cache}
    done = json.loads(run(0, "bench", "axpy", "--calibrate", "--within", "5", "--allow-fake", "--json", changes=kept).stdout)
    assert done["links"] == 1, done
    calibrated = device_of(json.loads(explain("--json", changes=kept)))["transfer"]
    assert calibrated["to_device"]["bandwidth"] == calibrated["from_device"]["latency"] == "calibrated", calibrated
    report = subprocess.run([devprobe, "report", "--json"], capture_output=True, text=True, timeout=50, env={**environment, **kept})
    found = next(d for d in json.loads(report.stdout)["devices"] if d["id"] == "cuda:0")
    assert found["measured_link"]["to_device_bytes_per_s"] == calibrated["to_device"]["bytes_per_s"], (found, calibrated)
    screen = subprocess.run([devprobe], capture_output=True, text=True, timeout=50, env={**environment, **kept}).stdout
    assert "GB/s there and" in " ".join(screen.split()), screen
    report = subprocess.run([devprobe, "report", "--json"], capture_output=True, text=True, timeout=50, env=environment)
    assert "measured_link" not in report.stdout, report.stdout
