#!/usr/bin/python3
"""Mojo as a peer, on one thread: mojo_kernels.mojo, compiled by the compiler beside this Python. SPDX-License-Identifier: Apache-2.0"""
import atexit
import ctypes
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from serve import Cannot, peer, serve

SOURCE = pathlib.Path(__file__).with_suffix(".mojo")
COMPILER = pathlib.Path(sys.executable).parent / "mojo"


def compiled():
    """The library and the compiler's version."""
    if not COMPILER.exists():
        raise ImportError(f"no Mojo compiler beside {sys.executable} (pip install mojo)")
    folder = tempfile.mkdtemp(prefix="foghorn-mojo.")
    atexit.register(shutil.rmtree, folder, True)
    library = pathlib.Path(folder) / "libkernels.so"
    done = subprocess.run([COMPILER, "build", "--emit", "shared-lib", SOURCE, "-o", library], capture_output=True, text=True, timeout=150)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise ImportError(f"Mojo does not compile {SOURCE.name}: {' '.join(errors)[:200]}")
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    return ctypes.CDLL(str(library)), version.removeprefix("Mojo ")


LIBRARY, VERSION = compiled()


def call(function, arrays, extents):
    arguments = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays] + [ctypes.c_ssize_t(extent) for extent in extents]
    return lambda: function(*arguments)


def plain(case, *names):
    arrays = [case.view(name) for name in names]
    if case.threads != 1:
        raise Cannot("it is written for one thread")
    if not all(array.flags.c_contiguous for array in arrays):
        raise Cannot("it is written for row-major operands")
    return arrays


@peer("Mojo", "matmul", version=VERSION)
def matmul(case):
    a, b, c = plain(case, "a", "b", "c")
    if a.ndim != 2:
        raise Cannot("it is written for one product")
    run = call(LIBRARY.matmul, (a, b, c), (c.shape[0], c.shape[1], a.shape[1]))
    return lambda: (run(), c)[1]


@peer("Mojo", "kmeans_assign", version=VERSION)
def kmeans_assign(case):
    x, centres, labels, distances = plain(case, "x", "c", "labels", "distances")
    run = call(LIBRARY.kmeans_assign, (x, centres, labels, distances), (x.shape[0], centres.shape[0], x.shape[1]))
    return lambda: (run(), (labels, distances))[1]


@peer("Mojo", "reduce", version=VERSION)
def row_sum(case):
    x, y = plain(case, "x", "y")
    if case.scalars.get("op", 0) != 0 or x.ndim != 2 or y.shape != x.shape[:1]:
        raise Cannot("it is written for sums of rows")
    run = call(LIBRARY.row_sum, (x, y), x.shape)
    return lambda: (run(), np.asarray(y))[1]


serve()
