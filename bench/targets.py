"""What Foghorn wants to reach on the CPU, against what was measured. SPDX-License-Identifier: Apache-2.0

targets.json holds one object per target: "kernels"; "peer" (times faster than the best of "peers", a regular expression; all where it is
left out) or "limit" (part of the measured limit); "cases", a regular expression that a case's name must match, and "where", the same in words; "level", where its data are:
"cache" or "DRAM"; "known", why it is missed and what was tried, where that is understood.
"""
import json
import pathlib
import re
import statistics

MOST_SPREAD = 0.05
HERE = pathlib.Path(__file__).resolve().parent
HEAD = ["| target | threads | cases that reach it | Foghorn over the best peer, median (worst) | of limit, median (worst) | furthest off |", "|---|---|---|---|---|---|"]


def load():
    return json.loads((HERE / "targets.json").read_text())


def times_faster(row, peers=""):
    """Than the best of these peers, None where none of them was measured."""
    ratios = [r["times_faster_foghorn"] for r in row["results"][1:] if "times_faster_foghorn" in r and re.search(peers, r["name"])]
    return min(ratios, default=None)


def rows_of(target, store):
    """(kernel, row) of what the target speaks of and was measured."""
    for kernel in target["kernels"]:
        for row in store["kernels"].get(kernel, {"rows": []})["rows"]:
            fits = re.search(target.get("cases", ""), row["case"]) and ("level" not in target or (row["level"] == "DRAM") == (target["level"] == "DRAM"))
            if fits and "median_s" in row["results"][0]:
                yield kernel, row


def reached(target, row):
    """Measured over wanted, None where the target cannot be judged."""
    found = row["results"][0].get("of_limit") if "limit" in target else times_faster(row, target.get("peers", ""))
    return None if found is None else found / target.get("limit", target.get("peer"))


def wanted(target):
    which = {"cache": ", in cache", "DRAM": ", from DRAM"}.get(target.get("level"), "")
    cases = f", {target['where']}" if "where" in target else ""
    what = f"{target['limit']} of the limit" if "limit" in target else f"{target['peer']} × {target.get('peers', 'the best peer')}".replace("|", " and ")
    return f"{', '.join(target['kernels'])}: {what}{which}{cases}"


def spread(values):
    values = [v for v in values if v is not None]
    return f"{statistics.median(values):.2f} ({min(values):.2f})" if values else "no peer"


def judged(target, store, threads):
    """One line of the table."""
    measured = [(kernel, row, reached(target, row)) for kernel, row in rows_of(target, store) if row["threads"] == threads]
    rows = [x for x in measured if x[2] is not None]
    if not measured:
        return f"| {wanted(target)} | {threads} | NOT RUN | | | |"
    if not rows:  # a peer that has one thread only
        return f"| {wanted(target)} | {threads} | no such peer | no peer | {spread(row['results'][0].get('of_limit') for _, row, _ in measured)} | |"
    met = sum(ratio >= 1 for _, _, ratio in rows)
    kernel, row, ratio = min(rows, key=lambda x: x[2])
    furthest = f"{kernel} {row['case']}: {ratio * target.get('limit', target.get('peer')):.2f}" if ratio < 1 else ""
    peers = spread(times_faster(row, target.get("peers", "")) for _, row, _ in rows)
    limits = spread(row["results"][0].get("of_limit") for _, row, _ in rows)
    return f"| {wanted(target)} | {threads} | {met} of {len(rows)} | {peers} | {limits} | {furthest} |"


def unexplained(store):
    """Targets that a case misses and nobody has said why."""
    return [wanted(t) for t in load() if "known" not in t and any((reached(t, row) or 1) < 1 for _, row in rows_of(t, store))]


def skew_lines(rows):
    """k-means on rows of several kinds: what the slowest costs over the fastest."""
    for row in rows:
        n, d, k = row["shape"]
        slowest = max(row["of_round"], key=row["of_round"].get)
        met = "reached" if row["spread"] <= MOST_SPREAD else "not reached"
        yield f"| k-means under skew: spread at most {MOST_SPREAD:.0%}, n={n} d={d} k={k} | {row['threads']} | {met} | | | {100 * row['spread']:.1f} %, slowest: {slowest.replace('_', ' ')} |"


def table(store):
    counts = sorted({row["threads"] for entry in store["kernels"].values() for row in entry["rows"]})
    lines = ["## Targets", "", *HEAD]
    for target in load():
        lines += [judged(target, store, threads) for threads in counts]
    lines += skew_lines(store.get("kmeans_skew", []))
    known = [f"- {wanted(target)}: {target['known']}" for target in load() if "known" in target]
    return lines + [""] + (["Why some are missed, and what was tried:", "", *known, ""] if known else [])
