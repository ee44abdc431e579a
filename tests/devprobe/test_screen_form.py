"""devprobe's screens of all recorded machines: the verdict first, within 80 columns, nothing that moves a terminal.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=300"""
import json
import os
import pathlib
import subprocess
import sys

from judging import sampled

DEVPROBE = os.environ.get("DEVPROBE")
MACHINES = pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines"
QUIET_EVERY = 16


def screen(folder, expect, *options):
    command = [DEVPROBE, "--from", str(folder), "--color", "never", *options, *(["--expect", expect] if expect else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def faults_of(folder, options, expected):
    status, out, err = screen(folder, expected.get("expect"), *options)
    lines, verdict, primary = out.split("\n"), expected["verdict"], expected["primary"]
    if status != expected["exit"]:
        yield f"exit status {status}, expected {expected['exit']}"
    if err:
        yield f"stderr is not empty: {err}"
    if "-q" in options:
        if out:
            yield "something is printed"
        return
    if not lines[0].startswith(verdict + ": ") or len(lines[0]) < len(verdict) + 3:
        yield f"the first line is not the verdict {verdict}: {lines[0]}"
    yield from (f"wider than 80 columns: {line}" for line in lines if len(line) > 80)
    if any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for line in lines for letter in line):
        yield "control characters in the output"
    if primary and verdict != "OK" and f"devprobe cause {primary}" not in out:
        yield f"the screen does not say where more is told: devprobe cause {primary}"


def main():
    if not DEVPROBE:
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    count = wrong = 0
    machines = sorted(MACHINES.glob("*/expect.json"))
    for path in sampled(machines):
        expected = json.loads(path.read_text(encoding="utf-8"))
        count += 1
        for options in [(), ("-v",)] + ([("-q",)] if count % QUIET_EVERY == 0 else []):
            for fault in faults_of(path.parent, options, expected):
                print(f"{path.parent.name} {' '.join(options)}: {fault}")
                wrong += 1
    print(f"{count} machines")
    sys.exit(wrong > 0 or len(machines) < 400)


main()
