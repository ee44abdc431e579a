#!/usr/bin/python3
"""k-means: does the distribution of the rows cost time? SPDX-License-Identifier: Apache-2.0

    kmeans_skew.py BUILD/bench [--json FILE] [--rounds N] [--threads 1,2] [--shape N,D,K]...

The same iteration on rows of five kinds, in turns and in the same memory (rows of 26 MB stay in a cache of 32 MB or not by where
their pages lie, so five copies differ by more than their contents do): clusters of equal size, sizes by Zipf's law (exponent 1.2), one cluster with
90 % of the rows, 30 % of the rows equal to others, and more clusters than distinct rows. What else happens on the machine slows whole
rounds (memory shared with other tenants is fast or slow for minutes), so a kind's time is put over the round's median, and the middle of
these ratios counts. The spread is that of the slowest kind over that of the fastest, less 1. The goal is 5 %.
"""
import os
import sys

from peers import Foghorn, np, progress, run_all, summary

SHAPES = [(100_000, 64, 16), (100_000, 64, 256), (1_000_000, 16, 64)]
GOAL = 0.05


def blobs(n, d, k, weights, rng):
    centres = rng.normal(size=(k, d)).astype(np.float32) * 3
    owner = rng.choice(k, size=n, p=weights / weights.sum())
    return (centres[owner] + rng.normal(size=(n, d))).astype(np.float32), centres


def equal(n, d, k, rng):
    return blobs(n, d, k, np.ones(k), rng)


def zipf(n, d, k, rng):
    return blobs(n, d, k, 1.0 / np.arange(1, k + 1) ** 1.2, rng)


def giant(n, d, k, rng):
    return blobs(n, d, k, np.array([0.9] + [0.1 / (k - 1)] * (k - 1)), rng)


def duplicates(n, d, k, rng):
    x, centres = equal(n, d, k, rng)
    x[rng.choice(n, size=3 * n // 10, replace=False)] = x[rng.integers(0, n, size=3 * n // 10)]
    return x, centres


def few_distinct(n, d, k, rng):
    """k / 2 distinct rows; the start holds each of them twice."""
    distinct = rng.normal(size=(k // 2, d)).astype(np.float32)
    return distinct[rng.integers(0, k // 2, size=n)], distinct[np.arange(k) % (k // 2)].copy()


KINDS = [equal, zipf, giant, duplicates, few_distinct]


def measure(folder, shape, threads, rounds, temporary):
    files = []
    for kind in KINDS:
        files.append([os.path.join(temporary, f"{kind.__name__}.{part}") for part in ("x", "start")])
        for array, path in zip(kind(*shape, np.random.default_rng(11)), files[-1]):
            array.tofile(path)
    foghorn = Foghorn(folder, files[0], shape, threads)
    times = max(1, min(50, int(0.05 / float(foghorn.ask("iterate 1")))))
    samples = [[] for _ in KINDS]
    for i in range(rounds):
        progress(f"k-means skew n={shape[0]} d={shape[1]} k={shape[2]} on {threads} threads, round {i + 1} of {rounds}")
        for turn in range(len(KINDS)):
            kind = (turn + i) % len(KINDS)
            if foghorn.ask("load " + " ".join(files[kind])) != "loaded":
                sys.exit("kmeans_skew.py: bench_kmeans could not load its rows")
            foghorn.ask("iterate 1")  # the caches hold the file until now
            samples[kind].append(float(foghorn.ask(f"iterate {times}")))
    progress("")
    foghorn.close()
    results = [summary(kind.__name__, sample) for kind, sample in zip(KINDS, samples)]
    ratios = np.array(samples) / np.median(samples, axis=0)
    for result, ratio in zip(results, np.median(ratios, axis=1)):
        result["of_round"] = float(ratio)
    middle = [result["of_round"] for result in results]
    return {"shape": list(shape), "threads": threads, "results": results, "spread": max(middle) / min(middle) - 1}


def print_row(row):
    n, d, k = row["shape"]
    times = "".join(f"{1e3 * result['median_s']:8.3f} {result['of_round']:5.3f}" for result in row["results"])
    print(f"{n:8d} {d:5d} {k:5d} {row['threads']:1d} {times}{row['spread']:9.1%}", flush=True)


HEADING = (
    f"ms per iteration, median, and the middle ratio to the round; the spread should be below {GOAL:.0%}\n"
    f"{'n':>8} {'d':>5} {'k':>5} T " + "".join(f"{kind.__name__:>14}" for kind in KINDS) + f"{'spread':>9}"
)

if __name__ == "__main__":
    run_all(__doc__.splitlines()[0], "kmeans_skew", SHAPES, HEADING, measure, print_row)
