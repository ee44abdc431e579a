# devprobe bench: its JSON against the schema, its picture, comparisons, an interrupt, bad words. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=240 plain=yes label=full
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

try:
    import jsonschema
    import numpy  # noqa: F401: the peers below use it
except ImportError as error:
    print(f"NOT RUN: {error}")
    sys.exit(77)

source = pathlib.Path(os.environ["FH_SOURCE_DIR"])
devprobe = os.environ["DEVPROBE"]
schema = json.loads((source / "docs/measurement.schema.json").read_text())
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
work = pathlib.Path(tempfile.mkdtemp(prefix="foghorn-bench-test."))


def run(status, *arguments):
    done = subprocess.run([devprobe, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def check(document):
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]
    assert not errors, errors
    return document


# A peer in Python, wrong on purpose in one of two.
(work / "peers").mkdir()
(work / "peers/serve.py").write_text((source / "bench/peers/serve.py").read_text())
(work / "peers/plain.py").write_text(
    """
from serve import Cannot, peer, serve

@peer("right", "matmul", version="1")
def right(case):
    a, b = case.view("a"), case.view("b")
    return lambda: a @ b

@peer("wrong", "matmul")
def wrong(case):
    a, b = case.view("a"), case.view("b")
    return lambda: a @ b + 1

@peer("unable", "matmul")
def unable(case):
    raise Cannot("it never can")

serve()
"""
)
(work / "peers/broken.py").write_text('import no_such_module_of_anybody  # would know "matmul"\n')

small = ("matmul", "24x16x20", "--threads", 1, "--rounds", 15)
document = check(json.loads(run(0, *small, "--peers", work / "peers", "--python", sys.executable, "--variants", "--json", "--plot", work / "plot.svg").stdout))
assert len(document["rows"]) == 1 and document["limits"][0]["threads"] == 1
row = document["rows"][0]
assert (row["kernel"], row["threads"], row["operations"]) == ("matmul", 1, 2 * 24 * 16 * 20), row
results = {r["name"]: r for r in row["results"]}
assert row["results"][0]["kind"] == "foghorn" and row["results"][0]["median_s"] > 0 and row["results"][0]["variant"].startswith("cpu/")
assert results["right"]["version"] == "1" and results["right"]["times_faster_foghorn"] > 0
assert "differs" in results["wrong"]["not_run"] and results["unable"]["not_run"] == "it never can"
assert "no_such_module_of_anybody" in results["broken.py"]["not_run"]
assert results["cpu/scalar"]["kind"] == "variant" and results["limit: arithmetic"]["kind"] == "limit"
assert all(r["p10_s"] <= r["median_s"] <= r["p90_s"] for r in row["results"] if "median_s" in r)
picture = xml.etree.ElementTree.parse(work / "plot.svg").getroot()
assert picture.tag.endswith("svg") and any("matmul" in (t.text or "") for t in picture.iter()), "the picture names no kernel"

# Against an earlier time: what was a hundred times faster then is slower now, and the other way round.
saved = check(json.loads((run(0, *small, "--no-peers", "--save", work / "then.json"), (work / "then.json").read_text())[1]))


def changed(factor):
    document = json.loads(json.dumps(saved))
    for result in document["rows"][0]["results"]:
        if result["kind"] == "foghorn":
            result["samples_s"] = [factor * s for s in result["samples_s"]]
    path = work / f"changed-{factor}.json"
    path.write_text(json.dumps(document))
    return path


answer = check(json.loads(run(1, *small, "--no-peers", "--json", "--compare", changed(0.01)).stdout))
assert answer["comparison"][0]["verdict"] == "slower" and answer["comparison"][0]["factor"] > 10, answer["comparison"]
answer = check(json.loads(run(0, *small, "--no-peers", "--json", "--compare", changed(100)).stdout))
assert answer["comparison"][0]["verdict"] == "faster", answer["comparison"]
injected = subprocess.run([devprobe, "bench", *map(str, small), "--no-peers", "--json", "--inject", "1000", "--compare", str(work / "then.json")],
                          capture_output=True, text=True, timeout=120)
assert json.loads(injected.stdout)["comparison"][0]["factor"] > 3, injected.stdout  # on a busy machine it may be too unsure to say more
other = check(json.loads(run(0, "axpy", "1000", "1000", "--threads", 1, "--no-peers", "--json", "--compare", work / "then.json").stdout))
assert other["comparison"][0]["verdict"] == "not compared"
(work / "text").write_text("not JSON")
assert "--compare" in run(2, *small, "--compare", work / "text").stderr
(work / "text").write_text("{}")
assert "no schema" in run(2, *small, "--compare", work / "text").stderr
(work / "text").write_text(json.dumps({"schema": "foghorn.measurement/999", "rows": []}))
assert "(foghorn.measurement/999)" in run(2, *small, "--compare", work / "text").stderr
run(2, *small, "--compare", work / "nowhere")

# Times that are none give no ratio, and those of another processor say nothing of the code.
document = json.loads(changed(1).read_text())
for result in document["rows"][0]["results"]:
    result["samples_s"] = [5e-324] * 9
(work / "text").write_text(json.dumps(document))
answer = check(json.loads(run(0, *small, "--no-peers", "--json", "--compare", work / "text").stdout))
assert [c["verdict"] for c in answer["comparison"]] == ["not compared"], answer["comparison"]
document["machine"]["cpu"] = "Another Processor"
(work / "text").write_text(json.dumps(document))
assert 'measured on "Another Processor"' in run(2, *small, "--compare", work / "text").stderr

# Where it is to be kept is looked at before; what cannot be kept all the same is still printed.
missed = run(3, *small, "--no-peers", "--save", work / "no/such/folder.json")
assert "--save" in missed.stderr and missed.stdout == "", missed
assert "--plot" in run(3, *small, "--no-peers", "--plot", work).stderr
full = run(3, *small, "--no-peers", "--save", "/dev/full")
assert "--save /dev/full" in full.stderr and "24x16x20" in full.stdout, full

# An interrupt leaves what was measured, whole and valid.
child = subprocess.Popen([devprobe, "bench", "matmul", "--threads", "1", "--no-peers", "--rounds", "301", "--json"], stdout=subprocess.PIPE, text=True)
time.sleep(4)
child.send_signal(signal.SIGINT)
text, _ = child.communicate(timeout=60)
assert child.returncode == 130, child.returncode
assert check(json.loads(text))["interrupted"] is True

# Nor does a peer that hangs keep it from ending.
hang = work / "hang"
hang.write_text("#!/bin/sh\nexec sleep 100\n")
hang.chmod(0o755)
child = subprocess.Popen([devprobe, "bench", *map(str, small), "--peers", str(work / "peers"), "--python", str(hang)], stdout=subprocess.PIPE, text=True)
time.sleep(4)
child.send_signal(signal.SIGTERM)
begin = time.monotonic()
child.communicate(timeout=60)
assert child.returncode == 130 and time.monotonic() - begin < 30, (child.returncode, time.monotonic() - begin)

# Words that mean nothing.
assert "did you mean matmul" in run(2, "matmull").stderr
assert "expected" in run(2, "matmul", "3x4").stderr
run(2, "matmul", "--threads", "0")
run(2, "matmul", "--rounds", "none")
assert "address" in run(2, "matmul", "1099511627776x1099511627776x1099511627776").stderr
assert "--within" in run(2, "matmul", "--within", "0").stderr
run(0, "axpy", "1000", "1000", "--threads", "600", "--rounds", "1", "--no-peers")  # more second-level cache than is read for DRAM

# Calibrating: what it has no use for is refused, where it cannot be kept it does not begin, and whoever ends it keeps what was measured.
cache = {**os.environ, "FOGHORN_CACHE_DIR": str(work / "cache")}
assert "--save does not go with --calibrate" in run(2, "axpy", "--calibrate", "--save", work / "x").stderr
nowhere = subprocess.run([devprobe, "bench", "--calibrate", "--within", "60"], env={**cache, "FOGHORN_CACHE_DIR": "/proc/nowhere"}, capture_output=True,
                         text=True, timeout=30)
assert nowhere.returncode == 3 and "cannot be written" in nowhere.stderr, nowhere
child = subprocess.Popen([devprobe, "bench", "--calibrate", "--within", "60", "--json"], env=cache, stdout=subprocess.PIPE, text=True)
time.sleep(4)
child.send_signal(signal.SIGTERM)
text, _ = child.communicate(timeout=60)
assert child.returncode == 130 and json.loads(text)["interrupted"] is True, (child.returncode, text)
assert json.loads((work / "cache/profile.json").read_text())["devices"]

# A device beside the CPU: its results are held to the CPU's, in a context of their own.
if "LD_LIBRARY_PATH" not in os.environ:
    fakes = pathlib.Path(os.environ["FH_BINARY_DIR"], "tests/fakes")
    os.environ["LD_LIBRARY_PATH"] = str(fakes)
    done = run(0, "axpy", "16777259", "16777259", "--device", "cuda:0", "--allow-fake", "--no-peers", "--rounds", 1, "--threads", 1, "--json")
    if '"not_run"' in done.stdout:
        print("NOT RUN: a device in devprobe bench: this build has no PTX")
    else:
        assert check(json.loads(done.stdout))["rows"][0]["results"][0]["variant"].startswith("cuda:0"), done.stdout
