#!/usr/bin/python3
"""Every cause that a C source names is in the catalogue, for each message that names one says "more: devprobe cause ID"; and no
run-time cause is in the catalogue that nobody names.
SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import glob
import os
import re
import sys

FOLDERS = ["algorithms", "backends", "detect", "kernels", "runtime", "tools"]
CATALOGUE = "detect/causes"
ENTRY = re.compile(r'^FH_CAUSE(_AT_RUN_TIME)?\("([^"]+)"', re.MULTILINE)
# A string that is an id and nothing else: capitals and digits in at least two words with a dash between.
NAMED = re.compile(r'"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)"')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def catalogue(text):
    """All ids, and those of them that only run time names."""
    entries = ENTRY.findall(text)
    return {name for _, name in entries}, {name for at_run_time, name in entries if at_run_time}


def named(text):
    """The ids in a source, with the line of each."""
    text = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), text)
    return [(match.group(1), text.count("\n", 0, match.start()) + 1) for match in NAMED.finditer(text)]


def known(name, ids):
    """An id, or the beginning of some that are meant together ("CPU-ISA")."""
    return name in ids or any(other.startswith(name + "-") for other in ids)


def check(sources, ids, run_time):
    """Faults as lines of text. sources: {path: text}."""
    seen, faults = set(), []
    for path, text in sorted(sources.items()):
        for name, line in named(text):
            seen.add(name)
            if not known(name, ids):
                faults.append("%s:%d: %s is not in %s" % (path, line, name, CATALOGUE))
    return faults + ["%s: %s is named by no source" % (CATALOGUE, name) for name in sorted(run_time - seen)]


def self_test():
    """The check sees what it claims to see."""
    ids, run_time = catalogue('FH_CAUSE("AB-ONE", G,\nFH_CAUSE_AT_RUN_TIME("AB-TWO",\n')
    assert ids == {"AB-ONE", "AB-TWO"} and run_time == {"AB-TWO"}
    assert check({"x.c": 'f("AB-TWO", "AB");'}, ids, run_time) == []
    assert check({"x.c": '/* "AB-NO" */ f("AB-TWO");\n\ng("AB-THREE");'}, ids, run_time) == ["x.c:3: AB-THREE is not in " + CATALOGUE]
    assert check({"x.c": "f();"}, ids, run_time) == [CATALOGUE + ": AB-TWO is named by no source"]


def main():
    self_test()
    root = os.environ.get("FH_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sources = {}
    for folder in FOLDERS:
        for path in glob.glob(os.path.join(root, folder, "**", "*.[ch]"), recursive=True):
            with open(path, encoding="utf-8") as file:
                sources[os.path.relpath(path, root)] = file.read()
    text = ""
    for path in sorted(glob.glob(os.path.join(root, CATALOGUE, "*.def"))):
        with open(path, encoding="utf-8") as file:
            text += file.read()
    ids, run_time = catalogue(text)
    if len(sources) < 100 or len(ids) < 50 or not run_time:
        print("found only %d sources and %d causes in %s" % (len(sources), len(ids), root))
        return 1
    faults = check(sources, ids, run_time)
    print("\n".join(faults) if faults else "%d sources name only causes of the catalogue (%d)" % (len(sources), len(ids)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
