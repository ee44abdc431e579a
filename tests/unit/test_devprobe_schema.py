"""devprobe --json obeys docs/devprobe.schema.json: here, and on every golden machine. SPDX-License-Identifier: Apache-2.0
TEST: timeout=120 sanitize=no cross=no
Also: the exit status is the one of expect.json, and the schema refuses what it should refuse."""

import json
import os
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("NOT RUN: the Python package jsonschema is not installed (Debian: python3-jsonschema)")
    sys.exit(77)
DEVPROBE = os.environ.get("DEVPROBE")
if not DEVPROBE:
    print("NOT RUN: devprobe is not part of this build")
    sys.exit(77)

SOURCE = pathlib.Path(os.environ["FH_SOURCE_DIR"])
SCHEMA = json.loads((SOURCE / "docs/devprobe.schema.json").read_text())
jsonschema.Draft7Validator.check_schema(SCHEMA)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def probe(arguments):
    done = subprocess.run([DEVPROBE, "--json", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"devprobe {arguments}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout), done.returncode


def check(name, report, status):
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in VALIDATOR.iter_errors(report)]
    if report["wrong"] != (status == 1):
        problems.append(f"wrong is {report['wrong']}, the exit status {status}")
    for problem in problems:
        print(f"{name}: {problem}")
    return not problems


def check_machine(folder):
    expected = json.loads((folder / "expect.json").read_text())
    spec = ["--expect", expected["expect"]] if "expect" in expected else []
    report, status = probe(["--from", str(folder), *spec])
    good = check(folder.name, report, status)
    if status != expected["exit"]:
        print(f"{folder.name}: exit status {status}, expected {expected['exit']}")
        good = False
    return good


def refuses(report, change):
    broken = json.loads(json.dumps(report))
    change(broken)
    return not VALIDATOR.is_valid(broken)


report, status = probe([])
results = [check("this machine", report, status)]
folders = sorted(p.parent for p in (SOURCE / "tests/machines").glob("*/expect.json"))
results += [check_machine(folder) for folder in folders]

# A schema that accepts anything would prove nothing.
assert refuses(report, lambda r: r.pop("devices"))
assert refuses(report, lambda r: r.update(surprise=1))
assert refuses(report, lambda r: r.update(verdict="fine"))
assert refuses(report, lambda r: r["devices"][0].update(usable="yes"))
assert refuses(report, lambda r: r["memory"].update(total_bytes=-1))

print(f"{sum(results)} of {len(results)} reports obey the schema ({len(folders)} golden machines and this one)")
sys.exit(0 if folders and all(results) else 1)
