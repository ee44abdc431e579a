#!/usr/bin/python3
"""NumPy as a peer of rows and reductions. SPDX-License-Identifier: Apache-2.0"""
import numpy as np

from serve import peer, serve

VERSION = np.__version__


@peer("NumPy", "softmax", version=VERSION)
def softmax(case):
    x = case.view("x")

    def run():
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    return run


@peer("NumPy", "l2_normalize", version=VERSION)
def l2_normalize(case):
    x, eps = case.view("x"), case.scalars.get("eps", 0)
    return lambda: x / np.maximum(np.sqrt(np.einsum("...i,...i->...", x, x)), np.float32(eps))[..., None]


@peer("NumPy", "layer_norm", version=VERSION)
def layer_norm(case):
    x, gamma, beta = case.view("x"), case.view("gamma"), case.view("beta")
    eps = np.float32(case.scalars["eps"])

    def run():
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps) * gamma + beta

    return run


@peer("NumPy", "rms_norm", version=VERSION)
def rms_norm(case):
    x, gamma, eps = case.view("x"), case.view("gamma"), np.float32(case.scalars["eps"])
    return lambda: x / np.sqrt(np.einsum("...i,...i->...", x, x)[..., None] / np.float32(x.shape[-1]) + eps) * gamma


def over(case, output="y"):
    """The axis that a reduction takes away: None for all."""
    return None if case.views[output]["shape"] == [1] and len(case.views["x"]["shape"]) > 1 else -1


def shaped(case, output, result):
    return np.reshape(result, case.views[output]["shape"])


@peer("NumPy", "reduce", version=VERSION)
@peer("NumPy", "reduce_f64", version=VERSION)
def reduce(case):
    x, axis = case.view("x"), over(case)
    calls = [
        lambda: x.sum(axis=axis),
        lambda: x.mean(axis=axis),
        lambda: np.sqrt(np.einsum("...i,...i->...", x, x)) if axis == -1 else np.linalg.norm(x),
        lambda: np.abs(x).sum(axis=axis),
        lambda: x.min(axis=axis),
        lambda: x.max(axis=axis),
        lambda: np.abs(x).max(axis=axis),
    ]
    call = calls[int(case.scalars["op"])]
    return lambda: shaped(case, "y", call())


@peer("NumPy", "variance", version=VERSION, tolerance=1e-3)
@peer("NumPy", "variance_f64", version=VERSION, tolerance=1e-3)
def variance(case):
    x, axis, ddof = case.view("x"), over(case), int(case.scalars["ddof"])
    return lambda: shaped(case, "y", x.var(axis=axis, ddof=ddof))


@peer("NumPy", "arg_extreme", version=VERSION)
@peer("NumPy", "arg_extreme_f64", version=VERSION)
def arg_extreme(case):
    x, axis = case.view("x"), over(case)
    call = x.argmax if case.scalars["largest"] else x.argmin
    return lambda: shaped(case, "y", call(axis=axis))


@peer("NumPy", "dot", version=VERSION, tolerance=1e-3)
@peer("NumPy", "dot_f64", version=VERSION, tolerance=1e-3)
def dot(case):
    x, y = case.view("x"), case.view("y")
    if x.ndim == 1 or over(case, "z") is None:
        return lambda: shaped(case, "z", np.dot(x.reshape(-1), y.reshape(-1)))
    return lambda: np.einsum("...i,...i->...", x, y)


serve()
