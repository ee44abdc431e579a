"""What tests of devprobe's reports share: running it, looking into a report, counting failures. SPDX-License-Identifier: Apache-2.0"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

failures = 0


def not_run(reason):
    print(f"NOT RUN: {reason}")
    sys.exit(77)


def require_root(what_for, *tools):
    """Ends with NOT RUN where namespaces of a test's own cannot be made, or one of these programs is not installed."""
    if os.environ.get("FH_EMULATED"):
        not_run("an emulator cannot make namespaces")
    if os.geteuid() != 0:
        not_run(f"{what_for} takes root")
    for tool in tools:
        if not shutil.which(tool):
            not_run(f"{tool} is not installed")


def devprobe():
    path = os.environ.get("DEVPROBE")
    if not path:
        not_run("devprobe is not part of this build")
    return pathlib.Path(path)


def sampled(items):
    """All of them; with a sanitizer or under an emulator, many times slower, every eighth."""
    items = list(items)
    if "FH_SANITIZED" not in os.environ and "FH_EMULATED" not in os.environ:
        return items
    print("NOT RUN: seven of eight like cases, which only the other builds try")
    return items[::8]


def live(*causes):
    """Writes down that these causes were named on a machine that really had them; call it after the assertion."""
    if os.environ.get("FH_LIVE_CAUSES"):
        with open(os.environ["FH_LIVE_CAUSES"], "a", encoding="utf-8") as file:
            file.writelines(cause + "\n" for cause in causes)


def check(case, test, shown):
    global failures
    if test:
        return
    failures += 1
    print(f"FAILED: {case}\n{shown if isinstance(shown, str) else json.dumps(shown, indent=1)}")


def finish():
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


def report_of(environment, *arguments, before=None):
    """The report of this machine with these variables; before: called in the child that becomes devprobe."""
    done = subprocess.run(
        [devprobe(), "--json", *arguments],
        env=os.environ | environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"devprobe with {environment}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def finding(report, cause):
    return next((f for f in report["findings"] if f["id"] == cause), None)


def evidence(report, cause):
    found = finding(report, cause)
    return "\n".join(f"{e['source']}: {e['value']}" for e in found["evidence"]) if found else ""


def words(found):
    return " ".join([found["summary"], *(f"{e['source']}: {e['value']}" for e in found["evidence"])])
