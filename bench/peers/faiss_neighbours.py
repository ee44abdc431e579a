#!/usr/bin/python3
"""faiss as a peer of distances and nearest rows. SPDX-License-Identifier: Apache-2.0"""
import faiss

from serve import Cannot, peer, serve

VERSION = faiss.__version__


@peer("faiss", "topk", version=VERSION)
def topk(case):
    q, x, k = case.view("q"), case.view("x"), case.view("values").shape[1]
    if not (q.flags.c_contiguous and x.flags.c_contiguous):
        raise Cannot("compact rows only")
    index = faiss.IndexFlatIP(x.shape[1]) if case.scalars.get("metric", 0) == 1 else faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    faiss.omp_set_num_threads(case.threads)

    def run():
        values, indexes = index.search(q, k)
        return values, indexes.astype("int32")

    return run


@peer("faiss", "pairwise_distance", version=VERSION)
def pairwise_distance(case):
    metric = case.scalars.get("metric", 0)
    if metric == 2:
        raise Cannot("it has no cosine distance")
    kind = faiss.METRIC_L2 if metric == 0 else faiss.METRIC_INNER_PRODUCT
    x, y = case.view("x"), case.view("y")
    faiss.omp_set_num_threads(case.threads)
    return lambda: faiss.pairwise_distances(x, y, metric=kind)


@peer("faiss", "kmeans_assign", version=VERSION, tolerance=1e-3)
def kmeans_assign(case):
    x, index = case.view("x"), faiss.IndexFlatL2(case.views["c"]["shape"][1])
    index.add(case.view("c"))
    faiss.omp_set_num_threads(case.threads)

    def run():
        distances, labels = index.search(x, 1)
        return labels[:, 0], distances[:, 0]

    return run


serve()
