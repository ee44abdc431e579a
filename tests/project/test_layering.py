#!/usr/bin/python3
"""The tree keeps to the layers, and the check sees a planted violation of every kind.
SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import os
import sys
import tempfile

import layering

# File, its include, is it forbidden?
PLANTED = [
    ("runtime/base/text.c", '#include "detect/facts.h"', True),
    ("runtime/base/text.c", '#  include  "runtime/mem/buffer.h"', True),
    ("runtime/base/text.c", "#include <stdio.h>", False),
    ("runtime/base/text.c", '/* #include "detect/facts.h" */', False),
    ("detect/facts.c", '#include "runtime/exec/pool.h"', True),
    ("detect/rules/cpu.c", '#include "detect/facts.h"', False),
    ("detect/facts.c", '#include "backends/backend.h"', True),
    ("runtime/mem/buffer.c", '#include "backends/backend.h"', True),
    ("runtime/exec/pool.c", '#include "detect/facts.h"', False),
    ("runtime/exec/pool.c", '#include "runtime/plan/planner.h"', True),
    ("backends/cpu/cpu.c", '#include "backends/cuda/cuda.h"', True),
    ("backends/cpu/cpu.c", '#include "../cuda/cuda.h"', True),
    ("backends/cpu/cpu.c", '#include "cpu_private.h"', False),
    ("backends/cpu/cpu.c", '#include "runtime/plan/planner.h"', True),
    ("backends/cpu/cpu.c", '#include "kernels/matmul/tiles.h"', True),
    ("backends/cpu/cpu.c", '#include "backends/backend.h"', False),
    ("runtime/plan/planner.c", '#include "backends/backend.h"', False),
    ("runtime/plan/planner.c", '#include "backends/cpu/cpu.h"', True),
    ("runtime/plan/planner.c", '#include "algorithms/kmeans.h"', True),
    ("algorithms/kmeans.c", "#include <foghorn/foghorn.h>", False),
    ("algorithms/kmeans.c", '#include "runtime/plan/planner.h"', True),
    ("kernels/axpy/axpy.c", '#include "kernels/contract.h"', False),
    ("kernels/axpy/axpy.c", '#include "kernels/softmax/rows.h"', True),
    ("kernels/axpy/axpy.c", '#include "runtime/base/text.h"', True),
    ("kernels/dot_f64/dot_f64.k", '#include "kernels/dot/dot.k"', False),
    ("kernels/dot_f64/dot_f64.k", '#include "kernels/axpy/axpy.k"', True),
    ("kernels/dot/dot.k", '#include "kernels/dot_f64/dot_f64.h"', True),
    ("kernels/axpy/axpy.c", "#include <foghorn/types.h>", False),
    ("kernels/axpy/axpy.c", "#include <foghorn/context.h>", True),
    ("kernels/axpy/axpy.k", '#include "runtime/base/text.h"', True),
    ("include/foghorn/memory.h", '#include "runtime/mem/buffer.h"', True),
    ("include/foghorn/memory.h", "#include <runtime/mem/buffer.h>", True),
    ("include/foghorn/memory.h", "#include <foghorn/types.h>", False),
    ("examples/multiply.c", '#include "runtime/mem/buffer.h"', True),
    ("examples/own-kernels/dtw/dtw.c", '#include "kernels/rows.h"', False),
    ("examples/own-kernels/dtw/dtw.c", '#include "runtime/base/text.h"', True),
    ("elsewhere/new.c", '#include "new.h"', True),
]


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def check_planted(source, include, expected):
    """True when a tree with this one line is judged as expected."""
    with tempfile.TemporaryDirectory() as tree:
        for header in ("runtime/mem/buffer.h", "backends/cpu/cpu_private.h"):
            write(os.path.join(tree, header), "")
        write(os.path.join(tree, source), "/* first\n line */\n" + include + "\n")
        found, _ = layering.violations(tree)
    right = (len(found) == 1 and found[0].startswith(source + ":3: ")) if expected else not found
    if not right:
        print("FAILED: %s with %s: expected %s, found %s" % (source, include, "one violation" if expected else "none", found))
    return right


def main():
    right = all([check_planted(*planted) for planted in PLANTED])
    found, seen = layering.violations(os.environ["FH_SOURCE_DIR"])
    print("\n".join(found + ["%d planted lines judged; the tree: %d includes, %d forbidden" % (len(PLANTED), seen, len(found))]))
    return 0 if right and seen and not found else 1


if __name__ == "__main__":
    sys.exit(main())
