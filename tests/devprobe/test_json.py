# devprobe's JSON: every machine and this one against the committed schema. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=120
import json
import os
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("NOT RUN: this Python has no jsonschema")
    sys.exit(77)

source = pathlib.Path(os.environ["FH_SOURCE_DIR"])
devprobe = os.environ["DEVPROBE"]
schema = json.loads((source / "docs/devprobe.schema.json").read_text())
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
failures = 0


def check(label, arguments):
    global failures
    done = subprocess.run([devprobe, "--json", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1):
        print(f"FAILED: {label}: exit status {done.returncode}: {done.stderr}")
        failures += 1
        return None
    report = json.loads(done.stdout)
    for error in validator.iter_errors(report):
        print(f"FAILED: {label}: {'/'.join(map(str, error.path))}: {error.message}")
        failures += 1
    return report


def check_command(schema_name, *arguments):
    global failures
    done = subprocess.run([devprobe, *arguments], capture_output=True, text=True, timeout=60)
    value = json.loads(done.stdout)
    if value.get("schema") != schema_name:
        print(f"FAILED: {arguments}: schema {value.get('schema')}, expected {schema_name}")
        failures += 1
    return value


check("this machine", [])
check("this machine, a GPU expected", ["--expect", "gpu"])
machines = sorted(p for p in (source / "tests/machines").iterdir() if (p / "expect.json").exists())
assert len(machines) >= 32, len(machines)
for machine in machines:
    check(machine.name, ["--from", str(machine)])

causes = check_command("foghorn.causes/1", "cause", "--json")["causes"]
assert len(causes) >= 32 and all(c["meaning"] and c["remedy"] for c in causes)
assert check_command("foghorn.require/1", "require", "--json", "cpus>=1")["met"] is True
unmet = check_command("foghorn.require/1", "require", "--json", "cpus>=1", "cpus>=100000")
assert unmet["met"] is False and [c["met"] for c in unmet["conditions"]] == [True, False]
kernels = check_command("foghorn.kernels/1", "kernels", "--json")["kernels"]
assert "matmul" in {k["name"] for k in kernels} and all(k["formula"] and k["views"] and k["bound"]["source"] for k in kernels)
assert check_command("foghorn.kernels/1", "kernels", "--json", "matmul")["kernels"] == [k for k in kernels if k["name"] == "matmul"]
rows = check_command("foghorn.matrix/1", "matrix", "--json")["rows"]
assert {r["group"] for r in rows} == {"backend", "isa", "test"} and all(r["why"] for r in rows)
assert any(r["name"] == "cpu" and r["runs"] for r in rows)
decision = check_command("foghorn.explain/1", "explain", "--json", "--device", "cpu", "matmul", "64x64x64")
assert decision["candidates"]
sys.exit(1 if failures else 0)
