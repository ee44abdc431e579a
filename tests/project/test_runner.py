#!/usr/bin/python3
"""The runner of the suite counts right: a small project of tests that pass, fail, skip, lie and vanish.
SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import os
import subprocess
import sys
import tempfile

# Name, shell text, the line that the summary must have for it (None: passed without a word).
TESTS = [
    ("passes", "exit 0", None),
    ("fails", "exit 3", "FAILED: fails: "),
    ("skips", "echo 'NOT RUN: no <GPU> & no driver'; exit 77", "NOT RUN: skips: no <GPU> & no driver [small]"),
    ("skips_silently", "exit 77", "FAILED: skips_silently: exit status 77 without"),
    ("skips_a_part", "echo 'NOT RUN: no AVX-512'; exit 0", "NOT RUN: skips_a_part: no AVX-512 [small]"),
    ("cmocka_skips", "echo '[  SKIPPED ] on_a_gpu'; exit 0", "NOT RUN: cmocka_skips: case on_a_gpu gives no reason [small]"),
    ("child_has_a_report", "echo 'ERROR: a leak' > ${ASAN_OPTIONS#log_path=}.1; exit 0", "FAILED: report.1: ERROR: a leak [small]"),
    ("malloc_refused", "echo '==7==WARNING: AddressSanitizer failed to allocate 0x7fffffffffffffff bytes' > ${ASAN_OPTIONS#log_path=}.2", None),
]
COUNTS = "5 passed, 4 failed, 3 skipped"  # one of the failed is a program that is not there


def build_project(folder):
    lines = ["cmake_minimum_required(VERSION 3.25)", "project(small NONE)", "enable_testing()", "add_test(NAME absent COMMAND /no/such/program)"]
    for name, text, _ in TESTS:
        script = os.path.join(folder, name + ".sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        lines.append("add_test(NAME %s COMMAND sh %s)" % (name, script))
        lines.append("set_tests_properties(%s PROPERTIES SKIP_RETURN_CODE 77)" % name)
    with open(os.path.join(folder, "CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    subprocess.run([os.environ.get("CMAKE", "cmake"), "-S", folder, "-B", folder + "/build"], stdout=subprocess.DEVNULL, check=True)


def run(*arguments):
    """Exit status and lines of the runner."""
    runner = os.path.join(os.environ["FH_SOURCE_DIR"], "tests", "run.py")
    result = subprocess.run([sys.executable, runner, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return result.returncode, result.stdout.splitlines()


def check_suite(folder):
    status, lines = run("suite", "small", folder + "/build")
    wanted = [line for _, _, line in TESTS if line] + ["FAILED: absent: Unable to find executable"]
    wrong = ["missing: %s" % line for line in wanted if not any(got.startswith(line) for got in lines)]
    if status != 1:
        wrong.append("exit status %d instead of 1" % status)
    if lines[-1] != COUNTS:
        wrong.append("the last line is \"%s\" instead of \"%s\"" % (lines[-1], COUNTS))
    if not all(line.startswith("NOT RUN: ") for line in lines[-4:-1]):
        wrong.append("the lines before the last do not list what was not run")
    return wrong


def check_empty(folder):
    empty = folder + "/empty"
    os.makedirs(empty + "/tests")
    status, lines = run("suite", "empty", empty)
    return [] if status == 1 and lines[-1] == "0 passed, 1 failed, 0 skipped" else ["an empty suite passes: %s" % lines]


def check_recorded(folder):
    results = folder + "/results"
    states = [run("suite", "small", folder + "/build", "--results", results)[0],
              run("check", "good", "--results", results, "--", "true")[0],
              run("check", "bad", "--results", results, "--", "false")[0],
              run("note", "skipped", "cross", "no compiler", "--results", results)[0]]
    status, lines = run("total", results)
    wrong = [] if states == [9, 0, 9, 0] else ["exit statuses %s" % states]
    if status != 1 or lines[-1] != "6 passed, 5 failed, 4 skipped":
        wrong.append("the total is \"%s\", exit status %d" % (lines[-1], status))
    return wrong


def main():
    with tempfile.TemporaryDirectory() as folder:
        build_project(folder)
        wrong = check_suite(folder) + check_empty(folder) + check_recorded(folder)
    print("\n".join(wrong or ["the runner counts right"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
