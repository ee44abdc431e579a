#!/usr/bin/python3
"""scikit-learn and NumPy as peers of distances and k-means. SPDX-License-Identifier: Apache-2.0"""
import numpy as np
import sklearn
from sklearn.cluster import _k_means_lloyd
from sklearn.metrics import pairwise
from threadpoolctl import threadpool_limits

from serve import peer, serve


@peer("scikit-learn", "pairwise_distance", version=sklearn.__version__)
def sklearn_distance(case):
    x, y, metric = case.view("x"), case.view("y"), case.scalars.get("metric", 0)
    threadpool_limits(case.threads)  # holds until another case sets its own
    if metric == 0:
        return lambda: pairwise.euclidean_distances(x, y, squared=True)
    if metric == 1:
        return lambda: pairwise.linear_kernel(x, y)
    return lambda: pairwise.cosine_distances(x, y)


@peer("NumPy", "pairwise_distance", version=np.__version__)
def numpy_distance(case):
    x, y, metric = case.view("x"), case.view("y"), case.scalars.get("metric", 0)
    threadpool_limits(case.threads)  # holds until another case sets its own

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


@peer("scikit-learn argmin", "kmeans_assign", version=sklearn.__version__, tolerance=1e-3)
@peer("scikit-learn argmin", "kmeans_assign_f64", version=sklearn.__version__, tolerance=1e-3)
def argmin(case):
    x, c = case.view("x"), case.view("c")
    threadpool_limits(case.threads)
    return lambda: pairwise.pairwise_distances_argmin_min(x, c, metric="sqeuclidean")


@peer("scikit-learn lloyd", "kmeans_step", version=sklearn.__version__, tolerance=1e-3)
@peer("scikit-learn lloyd", "kmeans_step_f64", version=sklearn.__version__, tolerance=1e-3)
def lloyd(case):
    """One turn of its KMeans(algorithm="lloyd"), which finds no distances: they are looked up afterwards."""
    x, old = case.view("x"), case.view("c")
    new, weights, shift = np.zeros_like(old), np.zeros(len(old), x.dtype), np.zeros(len(old), x.dtype)
    labels, ones = np.zeros(len(x), np.int32), np.ones(len(x), x.dtype)
    threadpool_limits(1, user_api="blas")  # as KMeans does: its own threads call it

    def found():
        sums = np.zeros_like(old, np.float64)
        np.add.at(sums, labels, x)
        return labels, ((x - old[labels]) ** 2).sum(axis=1), sums, np.bincount(labels, minlength=len(old))

    def run():
        _k_means_lloyd.lloyd_iter_chunked_dense(x, ones, old, new, weights, labels, shift, case.threads)
        return found

    return run


serve()
