#!/usr/bin/python3
"""k-means: Foghorn against scikit-learn's Lloyd, iteration by iteration, in turns. SPDX-License-Identifier: Apache-2.0

    peers.py BUILD/bench [--json FILE] [--rounds N] [--threads 1,2] [--shape N,D,K]...

One iteration is assign and update from the same start on both sides, checked against each other before it is
timed. scikit-learn's side is the iteration function that KMeans itself calls, without the checks around it.
Without scikit-learn Foghorn is measured alone. Ratios are scikit-learn / Foghorn: above 1 Foghorn is faster.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
except ImportError as error:
    print(f"NOT RUN: k-means bench: {error}; apt install python3-numpy python3-sklearn")
    sys.exit(77)

SHAPES = [(100_000, 64, 256), (100_000, 64, 16), (100_000, 128, 1024), (1_000_000, 16, 64), (60_000, 784, 10), (60_000, 784, 256)]


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def make_data(n, d, k, rng):
    """Blobs of unequal weight with noise between them: neither trivial nor without structure."""
    centres = rng.normal(size=(k, d)).astype(np.float32)
    weights = 1.0 / np.arange(1, k + 1) ** 0.5
    owner = rng.choice(k, size=n, p=weights / weights.sum())
    x = (centres[owner] + rng.normal(size=(n, d))).astype(np.float32)
    start = x[rng.choice(n, size=k, replace=False)].copy()
    return x, start


class Foghorn:
    def __init__(self, folder, files, shape, threads):
        command = [os.path.join(folder, "bench_kmeans"), *files, *map(str, shape), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            sys.exit(f"peers.py: bench_kmeans ended with status {self.process.wait()} at '{line}'")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class ScikitLearn:
    """The iteration of KMeans(algorithm='lloyd'), with BLAS on one thread inside, as KMeans does."""

    def __init__(self, x, start, threads):
        from sklearn.cluster._k_means_lloyd import lloyd_iter_chunked_dense
        from threadpoolctl import threadpool_limits

        self.iteration, self.limits = lloyd_iter_chunked_dense, threadpool_limits
        n, k = x.shape[0], start.shape[0]
        self.x, self.start, self.threads = x, start, threads
        self.weight, self.new = np.ones(n, np.float32), np.zeros_like(start)
        self.in_clusters, self.shift, self.labels = np.zeros(k, np.float32), np.zeros(k, np.float32), np.full(n, -1, np.int32)

    def iterate(self, times, update=True):
        with self.limits(limits=1, user_api="blas"):
            begin = time.perf_counter()
            for _ in range(times):
                self.iteration(self.x, self.weight, self.start, self.new if update else self.start, self.in_clusters, self.labels,
                               self.shift, self.threads, update_centers=update)
            return (time.perf_counter() - begin) / times


def open_peer(x, start, threads):
    try:
        return ScikitLearn(x, start, threads)
    except (ImportError, AttributeError) as error:
        print(f"NOT RUN: no peer: scikit-learn: {error}; apt install python3-sklearn", file=sys.stderr)
        return None


def check_equal(foghorn, peer, folder):
    path = os.path.join(folder, "got.f32")
    if foghorn.ask(f"save {path}") != "saved":
        sys.exit("peers.py: bench_kmeans could not save its centroids")
    got = np.fromfile(path, np.float32).reshape(peer.new.shape)
    peer.iterate(1)
    wrong = np.abs(got - peer.new).max(axis=1) > 1e-3 * (1 + np.abs(peer.new).max(axis=1))
    # A row between two centroids may go either way and moves two means a little; many such rows would be a fault.
    if wrong.sum() > max(2, 0.02 * len(wrong)):
        sys.exit(f"peers.py: {wrong.sum()} of {len(wrong)} centroids differ from scikit-learn's")


def summary(name, samples):
    low, median, high = np.quantile(samples, [0.1, 0.5, 0.9])
    return {"name": name, "median_s": median, "p10_s": low, "p90_s": high}


def measure(folder, shape, threads, rounds, temporary):
    x, start = make_data(*shape, np.random.default_rng(7))
    files = [os.path.join(temporary, "x.f32"), os.path.join(temporary, "start.f32")]
    x.tofile(files[0])
    start.tofile(files[1])
    foghorn, peer = Foghorn(folder, files, shape, threads), open_peer(x, start, threads)
    if peer:
        check_equal(foghorn, peer, temporary)
    once = float(foghorn.ask("iterate 1"))
    times = max(1, min(50, int(0.1 / once)))
    own, assign, other, other_assign = [], [], [], []
    for i in range(rounds):
        progress(f"k-means n={shape[0]} d={shape[1]} k={shape[2]} on {threads} threads, round {i + 1} of {rounds}")
        own.append(float(foghorn.ask(f"iterate {times}")))
        if peer:
            other.append(peer.iterate(times))
        assign.append(float(foghorn.ask(f"assign {times}")))
        if peer:
            other_assign.append(peer.iterate(times, update=False))
    progress("")
    report = json.loads(foghorn.ask("device"))
    foghorn.close()
    results = [summary("foghorn", own), summary("foghorn assign", assign)]
    if peer:
        results += [summary("scikit-learn", other), summary("scikit-learn assign", other_assign)]
    row = {"shape": list(shape), "threads": threads, "results": results, "report": report}
    if peer:
        row["times_scikit_learn"] = results[2]["median_s"] / results[0]["median_s"]
        row["times_scikit_learn_assign"] = results[3]["median_s"] / results[1]["median_s"]
    return row


def print_row(row):
    n, d, k = row["shape"]
    times = "".join(f" {1e3 * r['median_s']:9.2f} ({1e3 * r['p10_s']:.1f}-{1e3 * r['p90_s']:.1f})".ljust(27) for r in row["results"])
    ratios = f" {row['times_scikit_learn']:6.2f} {row['times_scikit_learn_assign']:6.2f}" if "times_scikit_learn" in row else ""
    print(f"{n:8d} {d:5d} {k:5d} {row['threads']:2d}{times}{ratios}", flush=True)


def run_all(description, bench, shapes, heading, measure, print_row):
    """Reads the command line and measures every shape on every number of threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder")
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--shape", action="append", type=lambda text: tuple(map(int, text.split(","))))
    options = parser.parse_args()
    rows = []
    print(heading)
    with tempfile.TemporaryDirectory() as temporary:
        for threads in map(int, options.threads.split(",")):
            for shape in options.shape or shapes:
                rows.append(measure(options.folder, shape, threads, options.rounds, temporary))
                print_row(rows[-1])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "foghorn.bench/1", "bench": bench, "cpus": len(os.sched_getaffinity(0)), "rows": rows}, file, indent=1)


HEADING = f"""ms per iteration, median (p10-p90); last columns: times faster than scikit-learn, whole iteration and assign alone
{'n':>8} {'d':>5} {'k':>5} T {'foghorn':26} {'foghorn assign':26} {'scikit-learn':26} scikit-learn assign"""

if __name__ == "__main__":
    run_all(__doc__.splitlines()[0], "kmeans", SHAPES, HEADING, measure, print_row)
