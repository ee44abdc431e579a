#!/usr/bin/python3
"""NumPy as a peer of irregular data, of layout and of images. SPDX-License-Identifier: Apache-2.0"""
import numpy as np

from serve import Cannot, peer, serve

VERSION = np.__version__


def result_of(case, x):
    """Memory for the result, there before the first call as Foghorn's is; compact."""
    return np.zeros(case.views["y"]["shape"], x.dtype)


@peer("NumPy", "bincount", version=VERSION)
def bincount(case):
    ids, k = case.view("ids"), case.views["counts"]["shape"][0]
    return lambda: np.bincount(ids, minlength=k)


@peer("NumPy", "histogram", version=VERSION)
def histogram(case):
    x, bins, edges = case.view("x"), case.views["counts"]["shape"][0], (case.scalars["low"], case.scalars["high"])
    return lambda: np.histogram(x, bins, edges)[0]


@peer("NumPy", "gather", version=VERSION)
def gather(case):
    x, ids, scale = case.view("x"), case.view("ids"), np.float32(case.scalars["scale"])
    y = result_of(case, x)

    def run():
        if x.flags.c_contiguous:
            np.take(x, ids, axis=0, out=y, mode="clip")  # with another mode it would write to memory of its own first
        else:
            y[...] = x[ids]  # take would copy all of x
        return y if scale == 1 else np.multiply(y, scale, out=y)

    return run


@peer("NumPy reduceat", "segment_sum", version=VERSION, tolerance=1e-3)
def segment_sum(case):
    """reduceat takes no empty segment: those are left out, and stay 0."""
    x, offsets = case.view("x"), case.view("offsets")
    y = result_of(case, x)

    def run():
        starts, ends = offsets[:-1], offsets[1:]
        some = starts < ends
        if some.all() and len(starts):
            np.add.reduceat(x[: ends[-1]], starts, axis=0, out=y)
        elif some.any():
            y[some] = np.add.reduceat(x[: ends[-1]], starts[some], axis=0)
        return y

    return run


def added(case, add):
    """Adds into one y again and again; what one time gives is found when it is asked for."""
    start = np.zeros_like(case.view("y")) if case.scalars.get("fresh") else case.view("y")
    y = start.copy()

    def once():
        out = start.copy()
        add(out)
        return out

    def run():
        if case.scalars.get("fresh"):
            y[...] = 0
        add(y)
        return once

    return run


@peer("NumPy add.at", "scatter_add", version=VERSION, tolerance=1e-3)
def scatter_add(case):
    x, ids = case.view("x"), case.view("ids")
    return added(case, lambda y: np.add.at(y, ids, x))


@peer("NumPy bincount", "scatter_add", version=VERSION, tolerance=1e-3)
def scatter_count(case):
    x, ids, m = case.view("x"), case.view("ids"), case.views["y"]["shape"][0]
    if x.ndim != 1 or not case.scalars["fresh"]:
        raise Cannot("bincount adds single numbers, to zero")
    return lambda: np.bincount(ids, weights=x, minlength=m)


@peer("NumPy", "axpy", version=VERSION)
def axpy(case):
    x, alpha = case.view("x"), np.float32(case.scalars["alpha"])

    def add(y):
        y += alpha * x

    return added(case, add)


@peer("NumPy", "permute", version=VERSION)
def permute(case):
    x = case.view("x")
    axes = [int(case.scalars[f"axis{i}"]) for i in range(x.ndim)]
    y = result_of(case, x)

    def run():
        np.copyto(y, x.transpose(axes))
        return y

    return run


@peer("NumPy", "u8_to_f32_nchw", version=VERSION)
def u8_to_f32_nchw(case):
    """Into planes that are there: a product alone would keep the order of x in memory, and nothing would be transposed."""
    x, mean, std = case.view("x"), case.view("mean"), case.view("std")
    factor, shift = (1 / (255 * std))[:, None, None], (-mean / std)[:, None, None]
    y = result_of(case, mean)

    def run():
        np.multiply(x.transpose(0, 3, 1, 2), factor, out=y)
        return np.add(y, shift, out=y)

    return run


serve()
