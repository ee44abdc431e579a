# devprobe explain with a device beside the CPU: transfers, sizes at which the choice changes, what-if, launches that are split; all of it
# obeys docs/explain.schema.json where the Python package jsonschema is installed. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=60 fakes=yes cross=no
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    jsonschema = None
    print("NOT RUN: the schema: the Python package jsonschema is not installed (Debian: python3-jsonschema)")

devprobe = os.environ["DEVPROBE"]
environment = {**os.environ, "FOGHORN_FAKE_CUDA": "devices=1,memory=2GiB", "FOGHORN_CACHE_DIR": ""}
shape = "64x1024x1024"


def run(status, *arguments, changes=None):
    done = subprocess.run([devprobe, *arguments], capture_output=True, text=True, timeout=50, env={**environment, **(changes or {})})
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def explain(*arguments, changes=None):
    return run(0, "explain", "matmul", shape, "--allow-fake", *arguments, changes=changes).stdout


SCHEMA = json.loads((pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "docs/explain.schema.json").read_text())
if jsonschema:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def read(text):
    """A decision, which obeys the schema."""
    decision = json.loads(text)
    for error in VALIDATOR.iter_errors(decision) if jsonschema else ():
        sys.exit(f"{'/'.join(map(str, error.absolute_path))}: {error.message}")
    return decision


def device_of(decision):
    return next(c for c in decision["candidates"] if c["variant"] == "cuda:0")


decision = read(explain("--json"))
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
assert "crossover" not in read(run(0, "explain", "matmul", shape, "--device", "cpu", "--json").stdout)

# What if: the decision as it is stays the same, the other one has the assumed link.
both = read(explain("--json", "--assume", "cuda:0:link=25GB/s,latency=1us"))
assert both["assuming"]["what"] == "cuda:0:link=25GB/s,latency=1us"
assumed = device_of(both["assuming"]["decision"])["transfer"]
assert device_of(both)["transfer"] == transfer, both
assert assumed["to_device"]["bytes_per_s"] == 25e9 and assumed["to_device"]["bandwidth"] == assumed["to_device"]["latency"] == "assumed", assumed
assert assumed["seconds"] < transfer["seconds"], (assumed, transfer)
assert "\nassuming link=25GB/s:\n" in explain("--assume", "link=25GB/s")
assert "link=RATE" in run(2, "explain", "matmul", shape, "--allow-fake", "--assume", "link=fast").stderr
assert "expected one of: vectors, work-items" in run(2, "explain", "matmul", shape, changes={"FOGHORN_OPENCL_LANES": "wide"}).stderr
assert "memory of its own" in run(3, "explain", "matmul", shape, "--device", "cpu", "--assume", "link=1GB/s").stderr

# Measured for the profile, used by the next process, and shown by the report where it was kept.
with tempfile.TemporaryDirectory(prefix="foghorn-explain-test.") as cache:
    kept = {"FOGHORN_CACHE_DIR": cache}
    done = json.loads(run(0, "bench", "axpy", "--calibrate", "--within", "5", "--allow-fake", "--json", changes=kept).stdout)
    assert done["links"] == 1, done
    calibrated = device_of(read(explain("--json", changes=kept)))["transfer"]
    assert calibrated["to_device"]["bandwidth"] == calibrated["from_device"]["latency"] == "calibrated", calibrated
    report = subprocess.run([devprobe, "report", "--json"], capture_output=True, text=True, timeout=50, env={**environment, **kept})
    found = next(d for d in json.loads(report.stdout)["devices"] if d["id"] == "cuda:0")
    assert found["measured_link"]["to_device_bytes_per_s"] == calibrated["to_device"]["bytes_per_s"], (found, calibrated)
    limits = found["measured_limits"] # of the stand-in, which is the host's memory
    assert limits["memory_bytes_per_s"] > 1e8 and limits["f32_flops_per_s"] > 1e5, limits
    screen = subprocess.run([devprobe], capture_output=True, text=True, timeout=50, env={**environment, **kept}).stdout
    said = " ".join(screen.split())
    assert "GB/s there and" in said and "memory at" in said and "GFLOP/s" in said, screen
    report = subprocess.run([devprobe, "report", "--json"], capture_output=True, text=True, timeout=50, env=environment)
    assert "measured_link" not in report.stdout and "measured_limits" not in report.stdout, report.stdout

    # Of a launch that takes everybody as long and whose copies take nothing, everybody does a part; unless that is forbidden.
    path = pathlib.Path(cache) / "profile.json"
    profile = json.loads(path.read_text())
    for device in profile["devices"]:
        for variant in device["kernels"]["axpy"]["variants"].values():
            variant.update({str(bucket): 0.05 for bucket in range(192)})
        for way in device.get("link", {}).values():
            way.update(latency_s=1e-6, bytes_per_s=1e12)
    path.write_text(json.dumps(profile))
    large = ["explain", "axpy", "16777216", "16777216", "--allow-fake"]
    decision = read(run(0, *large, "--json", changes=kept).stdout)
    shares = decision["split"]["shares"]
    assert shares[0]["variant"].startswith("cuda:0") and shares[1]["variant"].startswith("cpu") and len(shares) == 2, decision
    assert sum(share["rows"] for share in shares) == decision["split"]["rows"] == 16777216, decision
    assert decision["split"]["predicted_seconds"] < 0.05, decision
    assert "-> split cuda:0 5" in run(0, *large, changes=kept).stdout
    assert "split" not in read(run(0, *large, "--json", changes={**kept, "FOGHORN_SPLIT": "off"}).stdout)

# A schema that accepts anything would prove nothing.
if jsonschema:
    for spoilt in ({"schema": "foghorn.explain/2"}, {"chosen": 1}, {"candidates": [{"variant": "cpu"}]}, {"surprise": True},
                   {"split": {"rows": 5, "predicted_seconds": 1, "shares": []}}):
        assert not VALIDATOR.is_valid({**both, **spoilt}), spoilt
