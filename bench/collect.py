#!/usr/bin/python3
"""Runs devprobe bench kernel by kernel and keeps what it says, per machine. SPDX-License-Identifier: Apache-2.0

    collect.py BUILD RESULTS [--python FILE] [--rounds N] [--within SECONDS] [--kernel NAME]... [--wrap COMMAND] [--fresh]
    collect.py BUILD RESULTS --readme RESULTS/<machine>.json

Writes RESULTS/<machine>.json, its table RESULTS/<machine>.md and pictures RESULTS/<machine>/<kernel>.svg. What was measured before stays
until its kernel is measured again; --fresh forgets it. A run that is interrupted keeps what it has. --wrap puts words before each
run of devprobe (taskset, nice).
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import targets

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = "foghorn.results/1"
LIMIT_NOTE = "Times are medians over the rounds of one run in which all take turns. *Of limit*: the larger of two measured times, arithmetic in " \
    "registers and reading the inputs and writing the outputs once, over Foghorn's time. A peer's figure is its time over Foghorn's: above 1 " \
    "Foghorn is faster."


def machine_of(document):
    name = re.sub(r"[^a-z0-9]+", "-", document["machine"]["cpu"].lower()).strip("-")
    return f"{name}-{document['machine']['cpus']}-cpus"


def rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def kept(row):
    """A row as it is kept: without what can be computed from the rest."""
    results = []
    for r in row["results"]:
        known = {k: rounded(r[k]) for k in ("name", "variant", "version", "not_run", "median_s", "p10_s", "p90_s", "of_limit", "times_faster_foghorn") if k in r}
        if r["kind"] == "peer" or r["kind"] == "foghorn":
            results.append(known)
    return {k: rounded(row[k]) for k in ("case", "threads", "operations", "bytes", "level", "bound_by", "arithmetic_s", "memory_s", "launch_s")} | {"results": results}


def measure(options, kernel, results):
    """The document of one kernel, or None."""
    picture = results / "picture.svg"
    command = [*shlex.split(options.wrap), str(options.build / "devprobe"), "bench", kernel, "--json", "--peers", str(HERE / "peers"), "--python", options.python,
               "--rounds", str(options.rounds), "--within", str(options.within), "--plot", str(picture)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        print(f"collect.py: {kernel}: devprobe ended with status {done.returncode} and no answer", file=sys.stderr)
        return None
    if document["rows"]:
        folder = results / machine_of(document)
        folder.mkdir(exist_ok=True)
        picture.replace(folder / f"{kernel}.svg")
    return document


def kmeans_skew(options, results):
    """The rows of kmeans_skew.py, or none."""
    path = results / "skew.json"
    command = [*shlex.split(options.wrap), sys.executable, str(HERE / "kmeans_skew.py"), str(options.build / "bench"), "--json", str(path)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode or not path.exists():
        print(f"collect.py: kmeans_skew.py ended with status {done.returncode}", file=sys.stderr)
        return []
    rows = json.loads(path.read_text())["rows"]
    path.unlink()
    return [{"shape": row["shape"], "threads": row["threads"], "spread": rounded(row["spread"]),
             "of_round": {r["name"]: rounded(r["of_round"]) for r in row["results"]},
             "median_s": {r["name"]: rounded(r["median_s"]) for r in row["results"]}} for row in rows]


def human(seconds):
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if seconds >= unit or unit == 1e-9:
            return f"{seconds / unit:.3g} {name}"


def rate(row, seconds):
    compute = row["arithmetic_s"] > row["memory_s"]
    return f"{(row['operations'] if compute else row['bytes']) / seconds * 1e-9:.3g} {'Gop/s' if compute else 'GB/s'}"


def peers_of(row):
    """What is said of each peer, the fastest first."""
    peers = sorted((r for r in row["results"][1:] if "times_faster_foghorn" in r), key=lambda r: r["times_faster_foghorn"])
    return [f"{r['name']} {r['times_faster_foghorn']:.2f}" for r in peers]


def peers_text(row):
    return ", ".join(peers_of(row))


def bound_text(row):
    return f"memory ({row['level']})" if row["bound_by"] == "memory" else row["bound_by"]


def table(store):
    lines = [f"# Measured on {store['machine']['cpu']}, {store['machine']['cpus']} CPUs", "",
             f"By `{store['command']}`, Foghorn {store['version']}. {LIMIT_NOTE}", ""]
    for limits in store["limits"]:
        peaks = ", ".join(f"{name} {value * 1e-9:.0f}" for name, value in limits["operations_per_second"].items())
        levels = "; ".join(f"{x['name']} {x['read'] * 1e-9:.0f}, {x['copy'] * 1e-9:.0f}, {x['stream'] * 1e-9:.0f}" for x in limits["bytes_per_second"])
        lines += [f"Limits on {limits['threads']} thread{'s' if limits['threads'] > 1 else ''}: {peaks} Gop/s; GB/s (read, copy, copy past the caches) {levels}.", ""]
    lines += targets.table(store)
    for kernel, entry in sorted(store["kernels"].items()):
        lines += [f"## {kernel}", "", f"{entry['date'][:10]} · at most {entry['rounds']} rounds and, from the fifth on, {entry['within_s']:g} s for a case · "
                  f"[picture]({store['name']}/{kernel}.svg)", "",
                  "| case | threads | time | rate | of limit | bound by | peers |", "|---|---|---|---|---|---|---|"]
        for row in entry["rows"]:
            own = row["results"][0]
            if "median_s" not in own:
                lines.append(f"| {row['case']} | {row['threads']} | not run: {own.get('not_run', '')} | | | | |")
                continue
            lines.append(f"| {row['case']} | {row['threads']} | {human(own['median_s'])} | {rate(row, own['median_s'])} | "
                         f"{100 * own.get('of_limit', 0):.0f} % | {bound_text(row)} | {peers_text(row)} |")
        missing = sorted({f"{r['name']}: {r['not_run']}" for row in entry["rows"] for r in row["results"][1:] if "not_run" in r})
        lines += [""] + [f"- NOT RUN: {text}" for text in missing] + ([""] if missing else [])
    return "\n".join(lines).rstrip() + "\n"


def headline(store):
    """Per kernel the largest case, for the README."""
    lines = ["| kernel | case | 1 thread, of limit | all threads, of limit | times faster than the best peer: 1 thread, all |", "|---|---|---|---|---|"]
    for kernel, entry in sorted(store["kernels"].items()):
        timed = [row for row in entry["rows"] if "median_s" in row["results"][0]]
        if not timed:
            continue
        largest = max(timed, key=lambda row: row["operations"] + row["bytes"])["case"]
        rows = sorted((row for row in timed if row["case"] == largest), key=lambda row: row["threads"])
        own = [f"{human(r['results'][0]['median_s'])}, {100 * r['results'][0].get('of_limit', 0):.0f} %" for r in (rows[0], rows[-1])]
        best = [(peers_of(r) or [""])[0] for r in (rows[0], rows[-1])]
        lines.append(f"| {kernel} | {largest} | {own[0]} | {own[1] if len(rows) > 1 else ''} | {', '.join(b or 'no peer' for b in best[:len(rows)])} |")
    dates = sorted(entry["date"][:10] for entry in store["kernels"].values())
    said = f"Measured on {dates[-1]} on {store['machine']['cpus']} CPUs of {store['machine']['cpu']} by `{store['command']}`: the largest case of each kernel; " \
        f"[all cases and peers](bench/results/{store['name']}.md)."
    return "\n".join([said, "", *lines]) + "\n"


MARKS = ("<!-- headline: written by bench/collect.py --readme -->\n", "<!-- end of headline -->\n")


def into_readme(text, store):
    """The README with this headline in its place."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return before + MARKS[0] + headline(store) + MARKS[1] + after


def write(path, text):
    """Whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def dump(store):
    """One line per row: a change of one shows as one."""
    kernels = store["kernels"]
    head = {k: v for k, v in store.items() if k != "kernels"}
    text = json.dumps(head, indent=1, ensure_ascii=False).rstrip("}\n") + ',\n "kernels": {\n'
    parts = []
    for kernel, entry in sorted(kernels.items()):
        rows = ",\n   ".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in entry["rows"])
        parts.append(f'  {json.dumps(kernel)}: {{"date": "{entry["date"]}", "rounds": {entry["rounds"]}, "within_s": {entry["within_s"]:g}, "rows": [\n   {rows}]}}')
    return text + ",\n".join(parts) + "}}\n"


def keep(options, document, kernel, fresh, skew):
    name = machine_of(document)
    path = options.results / f"{name}.json"
    store = json.loads(path.read_text()) if path.exists() and not fresh else {"kernels": {}}
    store = {"schema": SCHEMA, "name": name, "machine": document["machine"], "version": document["version"], "command": "sh tools/dev bench",
             "limits": document["limits"] or store.get("limits", []), "kmeans_skew": skew or store.get("kmeans_skew", []), "kernels": store["kernels"]}
    for limits in store["limits"]:
        limits["operations_per_second"] = {k: rounded(v) for k, v in limits["operations_per_second"].items()}
        limits["bytes_per_second"] = [{k: rounded(v) for k, v in level.items()} for level in limits["bytes_per_second"]]
    store["kernels"][kernel] = {"date": document["date"], "rounds": options.rounds, "within_s": options.within, "rows": [kept(row) for row in document["rows"]]}
    write(path, dump(store))
    write(options.results / f"{name}.md", table(store))
    return path


def kernels_of(build):
    done = subprocess.run([str(build / "devprobe"), "kernels", "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return [k["name"] for k in json.loads(done.stdout)["kernels"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--within", type=float, default=1.5, help="seconds for the rounds of one case, once five are done")
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--wrap", default="")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--readme", type=pathlib.Path, help="measure nothing; put the headline of this results file into README.md")
    options = parser.parse_args()
    if options.readme:
        readme = HERE.parent / "README.md"
        write(readme, into_readme(readme.read_text(), json.loads(options.readme.read_text())))
        return 0
    options.results.mkdir(parents=True, exist_ok=True)
    failed, fresh, started = [], options.fresh, datetime.datetime.now()
    chosen = options.kernel or kernels_of(options.build)
    for i, kernel in enumerate(chosen):
        minutes = (datetime.datetime.now() - started).total_seconds() / 60
        print(f"{kernel} ({i + 1} of {len(chosen)}, {minutes:.1f} minutes so far)", file=sys.stderr, flush=True)
        document = measure(options, kernel, options.results)
        if document is None or not document["rows"]:
            failed.append(kernel)
            continue
        skew = kmeans_skew(options, options.results) if kernel == "kmeans_step" else []
        path = keep(options, document, kernel, fresh, skew)
        fresh = False
    if failed:
        print(f"collect.py: no figures of {', '.join(failed)}", file=sys.stderr)
    else:
        print(f"results: {os.path.relpath(path)} and {os.path.relpath(path.with_suffix('.md'))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
