#!/usr/bin/python3
"""scikit-learn and NumPy as peers of distances. SPDX-License-Identifier: Apache-2.0"""
import numpy as np
import sklearn
from sklearn.metrics import pairwise

from serve import peer, serve


@peer("scikit-learn", "pairwise_distance", version=sklearn.__version__)
def sklearn_distance(case):
    x, y, metric = case.view("x"), case.view("y"), case.scalars.get("metric", 0)
    if metric == 0:
        return lambda: pairwise.euclidean_distances(x, y, squared=True)
    if metric == 1:
        return lambda: pairwise.linear_kernel(x, y)
    return lambda: pairwise.cosine_distances(x, y)


@peer("NumPy", "pairwise_distance", version=np.__version__)
def numpy_distance(case):
    x, y, metric = case.view("x"), case.view("y"), case.scalars.get("metric", 0)

    def squared():
        d = x @ y.T
        d *= -2
        d += np.einsum("ij,ij->i", x, x)[:, None]
        d += np.einsum("ij,ij->i", y, y)[None, :]
        return np.maximum(d, 0, out=d)

    def cosine():
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None] * np.sqrt(np.einsum("ij,ij->i", y, y))[None, :]
        return 1 - x @ y.T / lengths

    return [squared, lambda: x @ y.T, cosine][metric]


serve()
