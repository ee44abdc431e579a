#!/usr/bin/python3
"""The shared library exports exactly what the public headers declare with FH_API, each name with version FOGHORN_0.
SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import glob
import os
import re
import subprocess
import sys


def exported(library):
    """Names and versions of the dynamic symbols that the library defines."""
    listing = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library], stdout=subprocess.PIPE, text=True, check=True)
    symbols = (line.split()[-1].partition("@@") for line in listing.stdout.splitlines())
    return {name: version for name, _, version in symbols if name != "FOGHORN_0"}


def declared(headers):
    """Names of the functions that the headers mark with FH_API."""
    names = set()
    for path in headers:
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.MULTILINE)
        for declaration in re.findall(r"\bFH_API\b([^;{]*)[;{]", text):
            names.add(re.search(r"\b(fh_\w+)\s*\(", declaration).group(1))
    return names


def main():
    headers = glob.glob(os.path.join(os.environ["FH_SOURCE_DIR"], "include", "foghorn", "*.h"))
    symbols = exported(os.path.join(os.environ["FH_BINARY_DIR"], "libfoghorn.so"))
    wanted = declared(headers)
    wrong = ["%s is exported but is not a public name" % name for name in sorted(set(symbols) - wanted)]
    wrong += ["%s is declared in a public header but the library does not have it" % name for name in sorted(wanted - set(symbols))]
    wrong += ["%s has version \"%s\" instead of FOGHORN_0" % (name, symbols[name]) for name in sorted(symbols) if symbols[name] != "FOGHORN_0"]
    print("\n".join(wrong + ["%d public functions, %d exported symbols" % (len(wanted), len(symbols))]))
    return 1 if wrong or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
