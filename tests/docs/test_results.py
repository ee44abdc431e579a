#!/usr/bin/python3
"""The table of the committed measurements, and the headline in the README, are what the results file gives. SPDX-License-Identifier: Apache-2.0
TEST: plain=yes"""
import importlib.util
import json
import os
import pathlib
import sys

source = pathlib.Path(os.environ["FH_SOURCE_DIR"])
sys.path.insert(0, str(source / "bench"))
spec = importlib.util.spec_from_file_location("collect", source / "bench/collect.py")
collect = importlib.util.module_from_spec(spec)
spec.loader.exec_module(collect)
import targets  # noqa: E402  bench/targets.py

# Those of GPUs have a form of their own (tests/gpu/test_report.py).
files = [path for path in sorted((source / "bench/results").glob("*.json")) if json.loads(path.read_text())["schema"] != "foghorn.gpu/1"]
if not files:
    print("NOT RUN: there are no committed measurements")
    sys.exit(77)
readme = (source / "README.md").read_text()
shown = 0
for path in files:
    store = json.loads(path.read_text())
    assert store["schema"] == collect.SCHEMA and store["name"] == path.stem, path
    assert path.read_text() == collect.dump(store), f"{path} is not as collect.py writes it"
    assert path.with_suffix(".md").read_text() == collect.table(store), f"{path.with_suffix('.md')} is not the table of {path.name}"
    assert not targets.unexplained(store), f"bench/targets.json does not say why these are missed: {targets.unexplained(store)}"
    for kernel, entry in store["kernels"].items():
        assert (path.parent / path.stem / f"{kernel}.svg").exists(), f"no picture of {kernel}"
        assert entry["rows"] and all(row["results"][0]["name"] == "Foghorn" for row in entry["rows"]), kernel
    if f"bench/results/{path.stem}.md" in readme:
        shown += 1
        assert collect.into_readme(readme, store) == readme, f"the README's headline is not that of {path.name}: bench/collect.py build . --readme {path}"
assert shown == 1, "the README shows the headline of one machine"
