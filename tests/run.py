#!/usr/bin/python3
"""Runs suites and checks, and counts them so that "not run" can never pass for "passed".

  run.py suite NAME BUILD [--quick] [--results FILE]      ctest in a build folder
  run.py check NAME [--results FILE] -- COMMAND...        one command: passed, failed, or not run (exit status 77)
  run.py note failed|skipped NAME REASON --results FILE   records what could not even be started
  run.py total FILE                                       the sum of what was recorded

With --results the outcome is added to FILE (JSON lines) and only a failure is told; without it the summary follows
at once: what failed, what was not run and why, and last "N passed, N failed, N skipped". A part of a test that
says "NOT RUN: reason" counts as skipped, next to the test that passed. Exit status 1 when anything failed; with
--results it is 9: failed, and recorded.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

NOT_RUN = 77
RECORDED_FAILURE = 9
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def outcome(suite, name, result, reason=""):
    return {"suite": suite, "name": name, "result": result, "reason": reason}


def parts_not_run(output):
    """Reasons that a test gives for what it left out: "NOT RUN: reason" lines, else cmocka's skipped cases."""
    reasons = list(dict.fromkeys(match.strip() for match in re.findall(r"^NOT RUN:(.*)$", output, re.MULTILINE)))
    cases = list(dict.fromkeys(re.findall(r"^\[  SKIPPED \] (?!\d+ test)(\S+)", output, re.MULTILINE)))
    if len(cases) > len(reasons):
        reasons += ["case %s gives no reason" % case for case in cases]
    return reasons


def judge_test(suite, name, status, message, output):
    """Outcomes of one ctest test: its own, and one for each part that it left out."""
    reasons = parts_not_run(output)
    if status == "run":
        return [outcome(suite, name, PASSED)] + [outcome(suite, name, SKIPPED, reason) for reason in reasons]
    if status == "notrun" and message.startswith("SKIP_"):
        if reasons:
            return [outcome(suite, name, SKIPPED, reason) for reason in reasons]
        return [outcome(suite, name, FAILED, "exit status 77 without a \"NOT RUN: reason\" line")]
    return [outcome(suite, name, FAILED, message or status)]  # "fail", a program that is not there, a disabled test


def read_junit(suite, path):
    outcomes = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        told = [case.find(tag) for tag in ("failure", "skipped", "error")]
        message = next((element.get("message") for element in told if element is not None), "") or ""
        outcomes += judge_test(suite, case.get("name"), case.get("status"), message, case.findtext("system-out") or "")
    return outcomes


def run_suite(suite, build, quick):
    reports = os.path.join(build, "tests", "sanitizer")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    for record_of_live_test in glob.glob(os.path.join(build, "tests", "live-causes", "*")):
        os.remove(record_of_live_test)
    junit = os.path.join(os.path.abspath(build), "tests", "junit.xml")
    if os.path.exists(junit):
        os.remove(junit)

    # A sanitizer writes its reports to files, so that a child whose stderr is closed is heard too.
    environment = dict(os.environ)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        environment[name] = "log_path=" + os.path.join(os.path.abspath(reports), "report")
    jobs = len(os.sched_getaffinity(0))
    command = ["ctest", "--test-dir", build, "-j", str(jobs), "--output-on-failure", "--no-tests=error", "--output-junit", junit,
               "--test-output-size-passed", "10000000", "--test-output-size-failed", "10000000"]
    subprocess.run(command + (["-L", "quick"] if quick else []), env=environment, check=False)

    try:
        outcomes = read_junit(suite, junit)
    except (OSError, ElementTree.ParseError) as error:
        return [outcome(suite, "ctest", FAILED, "no result: %s" % error)]
    if not outcomes:
        return [outcome(suite, "ctest", FAILED, "no test was found in %s" % build)]
    for report in sorted(glob.glob(os.path.join(reports, "*"))):
        with open(report, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if not is_no_finding(text):
            print(text)
            outcomes.append(outcome(suite, os.path.basename(report), FAILED, sanitizer_headline(text)))
    if any(entry["name"] == "unit/test_machines" for entry in outcomes):
        outcomes += print_catalogue(suite, build)
    return outcomes


def print_catalogue(suite, build):
    """The table of causes, once: in the suite of the release, where all live tests run."""
    if suite != "release":
        return []
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "catalogue.py")
    done = subprocess.run([sys.executable, script, build], check=False)
    return [outcome(suite, "catalogue", PASSED if done.returncode == 0 else FAILED, "see the table of causes")]


# malloc returning NULL for an absurd size, which tests ask for on purpose; and a caution about fibres, whose every switch the emulator of
# blocks tells the sanitizer.
NO_FINDING = re.compile(r"==\d+==WARNING: (\w+Sanitizer failed to allocate 0x|ASan doesn't fully support makecontext/swapcontext functions)")


def is_no_finding(text):
    """True for a report of nothing but what is no finding."""
    said = [line for line in text.splitlines() if re.match(r"==\d+==|.*(ERROR|SUMMARY|runtime error):", line)]
    return bool(said) and all(NO_FINDING.match(line) for line in said)


def sanitizer_headline(text):
    lines = [line for line in text.splitlines() if "ERROR:" in line or "WARNING:" in line or "runtime error:" in line]
    return lines[0].strip("= ") if lines else "a sanitizer report"


def run_check(name, command):
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             check=False)
    except OSError as error:
        return [outcome("", name, FAILED, str(error))]
    if run.returncode not in (0, NOT_RUN):
        print(run.stdout)
        return [outcome("", name, FAILED, "exit status %d of: %s" % (run.returncode, " ".join(command)))]
    status = "run" if run.returncode == 0 else "notrun"
    return judge_test("", name, status, "SKIP_RETURN_CODE", run.stdout)


def say(outcomes):
    """Prints the summary, one line for the same thing in several suites. Returns the exit status."""
    for result, label in ((FAILED, "FAILED"), (SKIPPED, "NOT RUN")):
        suites = {}
        for entry in outcomes:
            if entry["result"] == result:
                suites.setdefault((entry["name"], entry["reason"]), []).append(entry["suite"])
        for (name, reason), where in suites.items():
            named = [suite for suite in where if suite]
            print("%s: %s: %s%s" % (label, name, reason, " [%s]" % ", ".join(named) if named else ""))
    count = {result: sum(entry["result"] == result for entry in outcomes) for result in (PASSED, FAILED, SKIPPED)}
    print("%d passed, %d failed, %d skipped" % (count[PASSED], count[FAILED], count[SKIPPED]), flush=True)
    return 1 if count[FAILED] or not count[PASSED] else 0


def record(outcomes, path):
    with open(path, "a", encoding="utf-8") as file:
        for entry in outcomes:
            file.write(json.dumps(entry) + "\n")
    failures = [entry for entry in outcomes if entry["result"] == FAILED]
    for entry in failures:
        print("FAILED: %s: %s" % (entry["name"], entry["reason"]), flush=True)
    return RECORDED_FAILURE if failures else 0


def read_results(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except OSError as error:
        return [outcome("", "results", FAILED, str(error))]


def parse_arguments(arguments):
    command = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    suite = commands.add_parser("suite")
    suite.add_argument("name")
    suite.add_argument("build")
    suite.add_argument("--quick", action="store_true")
    suite.add_argument("--results")
    check = commands.add_parser("check")
    check.add_argument("name")
    check.add_argument("--results")
    note = commands.add_parser("note")
    note.add_argument("result", choices=[FAILED, SKIPPED])
    note.add_argument("name")
    note.add_argument("reason")
    note.add_argument("--results", required=True)
    total = commands.add_parser("total")
    total.add_argument("results")
    options = parser.parse_args(arguments)
    if (options.what == "check") != bool(command):
        parser.error("a check, and only a check, is followed by -- COMMAND")
    return options, command


def main():
    options, command = parse_arguments(sys.argv[1:])
    if options.what == "total":
        return say(read_results(options.results))
    if options.what == "suite":
        outcomes = run_suite(options.name, options.build, options.quick)
    elif options.what == "check":
        outcomes = run_check(options.name, command)
    else:
        outcomes = [outcome("", options.name, options.result, options.reason)]
    if options.results:
        return record(outcomes, options.results)
    return say(outcomes)


if __name__ == "__main__":
    sys.exit(main())
