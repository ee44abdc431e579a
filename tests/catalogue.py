#!/usr/bin/python3
"""The catalogue of causes and its proof, as a table: each cause, the golden machines on which it is found, and the live tests that
have shown it on a machine that really had it (in this build's last run of the suite).

  catalogue.py BUILD

Exit status 1 when a cause that detection looks for has no machine, or a test speaks of a cause that is not in the catalogue.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import glob
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def causes(build):
    done = subprocess.run([os.path.join(build, "devprobe"), "cause", "--json"], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return json.loads(done.stdout)["causes"]


def machines():
    """{cause: names of the machines that have it}; machines with several bases; all."""
    found, several, count = collections.defaultdict(list), 0, 0
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/machines/*/expect.json"))):
        with open(path, encoding="utf-8") as file:
            expected = json.load(file)
        with open(os.path.join(os.path.dirname(path), "snapshot.json"), encoding="utf-8") as file:
            bases = json.load(file).get("base")
            several += isinstance(bases, list) and len(expected["findings"]) > 1
        count += 1
        for cause in set(expected["findings"]):
            found[cause].append(os.path.basename(os.path.dirname(path)))
    return found, several, count


def live(build):
    """{cause: names of the tests}, of what the tests wrote down."""
    found = collections.defaultdict(set)
    for path in sorted(glob.glob(os.path.join(build, "tests/live-causes/*"))):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    found[line.split()[0]].add(os.path.basename(path) + (" (stand-in)" if "stand-in" in line else ""))
    return found


def print_group(group, listed, by_machine, by_test):
    print(f"\n{group}")
    for cause in listed:
        tests = sorted(by_test[cause["id"]])
        count = len(by_machine[cause["id"]])
        told = "named by a running program" if cause["at_run_time"] and not count else f"{count:3d} machine{'s' if count != 1 else ' '}"
        print(f"  {cause['id']:25}{told:28}{'live: ' + ', '.join(tests) if tests else 'live: no'}")


def main():
    build = sys.argv[1]
    catalogue, (by_machine, several, count), by_test = causes(build), machines(), live(build)
    ids = {cause["id"] for cause in catalogue}
    print("cause                      machines                    shown live by")
    for group in dict.fromkeys(cause["group"] for cause in catalogue):
        print_group(group, [cause for cause in catalogue if cause["group"] == group], by_machine, by_test)
    unseen = sorted(c["id"] for c in catalogue if not c["at_run_time"] and not by_machine[c["id"]])
    silent = sorted(os.path.basename(folder) for folder in glob.glob(os.path.join(ROOT, "tests/machines/*"))
                    if not os.path.exists(os.path.join(folder, "expect.json")))
    unknown = sorted((set(by_machine) | set(by_test)) - ids)
    shown = sum(bool(by_test[cause]) for cause in ids)
    print(f"\n{len(ids)} causes, {len(ids) - len(unseen) - sum(c['at_run_time'] for c in catalogue)} found on golden machines, {shown} shown live; "
          f"{count} machines, {several} of them with two faults")
    for cause in unseen:
        print(f"FAILED: {cause}: no machine in tests/machines has it")
    for machine in silent:
        print(f"FAILED: tests/machines/{machine} has no expect.json: nothing is expected of it")
    for cause in unknown:
        print(f"FAILED: {cause}: a test speaks of it, and it is not in the catalogue")
    sys.exit(bool(unseen or unknown or silent))


main()
