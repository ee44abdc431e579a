"""The static devprobe says what the other one says, and what it could not ask. SPDX-License-Identifier: Apache-2.0
TEST: timeout=180"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

failures = 0


def check(case, test, *seen):
    global failures
    if not test:
        failures += 1
        print(f"FAILED: {case}", *seen, sep="\n")


def run(program, *arguments, **changes):
    environment = {k: v for k, v in os.environ.items() if k not in ("FOGHORN_PROBE", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")}
    environment |= changes
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=60)
    return done.returncode, done.stdout, done.stderr


if not os.environ.get("DEVPROBE_STATIC"):
    print("NOT RUN: the static devprobe is not part of this build: it takes musl's compiler (Debian: musl-dev), and no sanitizer")
    sys.exit(77)
STATIC, NORMAL = os.environ["DEVPROBE_STATIC"], os.environ["DEVPROBE"]
EMULATED = bool(os.environ.get("FH_EMULATED"))
NOWHERE = {"PATH": "/nonexistent" if not EMULATED else os.environ["PATH"]}

# ---- recorded machines, every fourth: the same verdict, to the byte --------------------------------------------------------------------

machines = sorted((pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines").glob("*/snapshot.json"))
check("there are machines", len(machines) > 50, len(machines))
for machine in machines[:: 20 if EMULATED else 4]:
    ours, theirs = run(STATIC, "--json", "--from", machine.parent), run(NORMAL, "--json", "--from", machine.parent)
    check(f"{machine.parent.name}: the same report", ours == theirs and ours[0] in (0, 1), ours, theirs)
ours, theirs = run(STATIC, "cause", "--json"), run(NORMAL, "cause", "--json")
check("the same catalogue", ours == theirs and ours[0] == 0)

# ---- what it is ----------------------------------------------------------------------------------------------------------------

status, out, err = run(STATIC, "--help")
check("the help says what it is", status == 0 and "static devprobe" in out and "FOGHORN_PROBE" in out, out)
check("the help fits a screen", all(len(line) <= 80 for line in out.splitlines()), out)
status, out, err = run(STATIC, "verify")
check("a command that it lacks", status == 2 and "no command" in err and "other one only" in err, err)
check("it has the same version", run(STATIC, "--version") == run(NORMAL, "--version"))

program = pathlib.Path(os.environ["FH_BINARY_DIR"]) / "static/devprobe-static"
data = program.read_bytes()
offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
kinds = [struct.unpack_from("<I", data, offset + i * size)[0] for i in range(count)]
PT_DYNAMIC, PT_INTERP = 2, 3
check("no loader, no libraries", kinds and PT_INTERP not in kinds and PT_DYNAMIC not in kinds, kinds)
check("smaller than 1 MiB", len(data) < 1 << 20, len(data))
print(f"devprobe-static: {len(data)} bytes")

# ---- this machine ----------------------------------------------------------------------------------------------------------------

if EMULATED:
    print("NOT RUN: this machine as it is: under an emulator the program cannot start itself again")
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


def report(*arguments, program=STATIC, **changes):
    status, out, err = run(program, "--json", *arguments, **changes)
    check(f"an answer: {arguments} {changes}", status in (0, 1), status, out, err)
    return json.loads(out)


def why(seen, question):
    return next((u["why"] for u in seen["unasked"] if u["question"] == question), "")


ours, theirs = report(FOGHORN_PROBE=NORMAL), report(program=NORMAL)
for seen in ours, theirs:
    seen["memory"] = seen["devices"][0]["memory_bytes"] = None  # changes from moment to moment
check("with a helper: the same report", ours == theirs, json.dumps(ours), json.dumps(theirs))

alone = report(CUDA_VISIBLE_DEVICES="0", **NOWHERE)
check("without a helper: says so", "no other devprobe" in why(alone, "cuda"), alone)
for key in ("packages", "cores", "numa_nodes"):
    check(f"without a helper: {key} as hwloc counts them", alone["cpu"][key] == theirs["cpu"][key], alone["cpu"], theirs["cpu"])
check("without a helper: trials are its own", alone["cpu"]["isas"] == theirs["cpu"]["isas"], alone["cpu"])
status, out, err = run(STATIC, CUDA_VISIBLE_DEVICES="0", **NOWHERE)
check("without a helper: on the screen too", "unasked   " in out and "cuda" in out, out)

status, out, err = run(STATIC, "require", "gpu", CUDA_VISIBLE_DEVICES="0", **NOWHERE)
check("require says that nobody was asked", status == 1 and "a driver was not asked: the static" in " ".join(out.split()), out, err)

with tempfile.TemporaryDirectory(prefix="foghorn-static.") as folder:
    folder = pathlib.Path(folder)
    for name, content, mode, words in (
        ("another static one", data, 0o755, "is a static program too"),
        ("one that is not executable", data, 0o644, "cannot be run: Permission denied"),
        ("one for another processor", data[:18] + struct.pack("<H", 243) + data[20:], 0o755, "built for another processor"),
    ):
        (folder / "devprobe").write_bytes(content)
        (folder / "devprobe").chmod(mode)
        seen = report(CUDA_VISIBLE_DEVICES="0", FOGHORN_PROBE=str(folder / "devprobe"), **NOWHERE)
        check(f"{name}: is told", words in why(seen, "cuda"), why(seen, "cuda"))
        seen = report(CUDA_VISIBLE_DEVICES="0", PATH=str(folder))
        if name.startswith("another static"):  # it may be this very program under another name
            words = "no other devprobe is named"
        check(f"{name}, on PATH: is told", words in why(seen, "cuda"), why(seen, "cuda"))
    # Found and started, but its libraries are missing, or it is of another version.
    for status, words in ((127, "ended with status 127"), (2, "of another version")):
        (folder / "devprobe").write_text(f"#!/bin/sh\nexit {status}\n")
        (folder / "devprobe").chmod(0o755)
        seen = report(CUDA_VISIBLE_DEVICES="0", PATH=str(folder))
        check(f"a helper that ends with {status}", words in why(seen, "cuda") and "NV-DRIVER" not in str(seen["findings"]), seen)
    # Beside it: found without a word.
    (folder / "devprobe").unlink()
    (folder / "devprobe-static").write_bytes(data)
    (folder / "devprobe-static").chmod(0o755)
    (folder / "devprobe").symlink_to(NORMAL)
    seen = report(program=str(folder / "devprobe-static"), CUDA_VISIBLE_DEVICES="0", **NOWHERE)
    check("a devprobe beside it is its helper", not seen["unasked"], seen["unasked"])

print(f"{failures} failures")
sys.exit(1 if failures else 0)
