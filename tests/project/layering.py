#!/usr/bin/python3
"""Who may include whom: reads every #include of a source tree and names each one that the table forbids.

  layering.py TREE      exit status 1 when something is forbidden

The order of the layers: runtime/base <- detect <- runtime/{mem,exec,obs} <- backends <- runtime/plan <- algorithms, tools.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sys

PUBLIC = ["include/foghorn/"]
BASE = ["runtime/base/"]
SERVICES = ["runtime/mem/", "runtime/exec/", "runtime/obs/"]
CONTRACT = ["kernels/contract.h", "kernels/contracts.h"]
BACKEND = ["backends/*.h", "backends/*.def"]  # beside backend.h: shared by every backend, never one backend's own
KERNEL = ["kernels/*.h"]  # beside contract.h: shared by every kernel

# Folder: what its files may include besides the public headers, their own folder and below, and system headers. The
# first row that fits a file counts. {name} stands for a part of one folder's name, on the right for what it was; * for a part of a file name.
ALLOWED = [
    ("include/foghorn/", []),
    ("runtime/base/", []),
    ("detect/", BASE),
    ("runtime/mem/", BASE + ["detect/"] + SERVICES),
    ("runtime/exec/", BASE + ["detect/"] + SERVICES),
    ("runtime/obs/", BASE + ["detect/"] + SERVICES),
    ("backends/{name}/", BASE + ["detect/"] + SERVICES + CONTRACT + BACKEND),
    ("backends/", BASE + ["detect/"] + SERVICES + CONTRACT + ["kernels/matmul.h", "kernels/product.h"]),  # library.c: products said to BLAS
    ("runtime/plan/", BASE + ["detect/"] + SERVICES + CONTRACT + BACKEND + ["kernels/*_tables.h", "kernels/narrow.h", "kernels/product.h"]),
    ("algorithms/", BASE + ["algorithms/"]),
    ("kernels/dialect/", KERNEL),
    ("kernels/block/", ["kernels/dialect/"]),
    ("kernels/tile/", KERNEL + ["kernels/dialect/"]),
    ("kernels/{name}_f64/", KERNEL + ["kernels/dialect/", "kernels/tile/", "kernels/{name}/"]),  # the same text, read for doubles
    ("kernels/{name}/", KERNEL + ["kernels/dialect/", "kernels/block/", "kernels/tile/"]),
    ("kernels/", []),
    ("tools/", BASE + ["detect/", "algorithms/", "runtime/", "kernels/contract.h", "bench/engine/"] + BACKEND),
    ("examples/own-kernels/{name}/", KERNEL + ["kernels/dialect/"]),  # as they are installed
    ("examples/", []),
    ("tests/", ["runtime/", "detect/", "backends/", "kernels/", "algorithms/", "tools/", "bench/engine/", "tests/"]),
    ("bench/engine/", BASE + ["runtime/", "kernels/contract.h", "bench/peers/peer.h"]),
    ("bench/peers/", BASE + KERNEL),
    ("bench/", ["runtime/", "detect/", "backends/", "kernels/", "algorithms/", "tests/support/"]),
]

# Kernels are compiled for every ISA, for OpenCL and for PTX: of the public headers these two only.
KERNEL_PUBLIC = ["include/foghorn/types.h", "include/foghorn/status.h"]

SOURCE = re.compile(r"\.(c|h|def|inc|k)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SKIPPED_FOLDERS = re.compile(r"^(\.|build|out$)")


def sources(tree):
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.match(name))
        for name in sorted(files):
            if SOURCE.search(name):
                yield os.path.relpath(os.path.join(folder, name), tree)


def includes(path):
    """Line numbers, kinds and names of the #include lines; a commented-out one does not count."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment.group().count("\n"), file.read(), flags=re.DOTALL)
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def target_of(tree, source, kind, name):
    """The included file as a path in the tree, or None for a system header."""
    if name.startswith("foghorn/"):
        return "include/" + name
    if os.path.isabs(name) or kind == "<" and not os.path.exists(os.path.join(tree, name)):
        return None
    beside = os.path.normpath(os.path.join(os.path.dirname(source), name))
    if os.path.exists(os.path.join(tree, beside)):
        return beside
    return os.path.normpath(name)  # from the root of the tree; a generated file counts as what its path says


def row_of(source):
    """The folder that owns a file and what it may include."""
    for folder, allowed in ALLOWED:
        match = re.match(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(folder)), source)
        if match:
            name = match.group(1) if match.groups() else ""
            return match.group(), [pattern.replace("{name}", name) for pattern in allowed]
    return None


def fits(target, pattern):
    """A pattern is a folder with all below it, or a file, where * stays within its folder."""
    if pattern.endswith("/"):
        return target.startswith(pattern)
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), target) is not None


def forbidden(source, target):
    """Why the include is not allowed, or None."""
    row = row_of(source)
    if row is None:
        return "%s is in no folder of the table in tests/project/layering.py" % source
    own, allowed = row
    public = KERNEL_PUBLIC if source.startswith("kernels/") else PUBLIC
    if any(fits(target, pattern) for pattern in [own] + allowed + public):
        return None
    return "%s may include only %s" % (own, ", ".join([own] + allowed + public))


def violations(tree):
    """The violations, and how many includes were looked at."""
    found, seen = [], 0
    for source in sources(tree):
        for line, kind, name in includes(os.path.join(tree, source)):
            target = target_of(tree, source, kind, name)
            seen += 1
            reason = target and forbidden(source, target)
            if reason:
                found.append("%s:%d: includes %s: %s" % (source, line, name, reason))
    return found, seen


def main():
    found, seen = violations(sys.argv[1])
    print("\n".join(found + ["%d includes, %d forbidden" % (seen, len(found))]))
    return 1 if found or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
