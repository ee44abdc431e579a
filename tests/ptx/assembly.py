"""Assembles the PTX of a build for one GPU generation after another, and reads what each entry takes. SPDX-License-Identifier: Apache-2.0

A text for "sm_90a" runs on that generation alone, any other on its own and every later one. A tuned text (a block of threads with shared
memory) must not spill: its tiles are chosen to fit the registers. A dialect text is one for every device, so its spills are only told.
"""
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

ARCHITECTURES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100")
PROCESSES = 2
MISSING = "no ptxas here, so no PTX was assembled (apt: nvidia-cuda-toolkit, or set PTXAS)"
TUNED_NAME = re.compile(r"_(block|sm\d+a?)$")
TUNED_MARK = re.compile(r"^\s*\.(maxntid|reqntid)\b", re.MULTILINE)


@dataclasses.dataclass
class Text:
    path: pathlib.Path
    target: str  # "sm_60"
    tuned: bool

    @classmethod
    def read(cls, path):
        content = path.read_text()
        target = re.search(r"^\s*\.target\s+(sm_\d+a?)", content, re.MULTILINE)
        return cls(path, target.group(1) if target else "", bool(TUNED_NAME.search(path.stem) or TUNED_MARK.search(content)))

    def runs_on(self, architecture):
        if self.target.endswith("a"):
            return self.target == architecture
        return int(self.target[3:]) <= int(architecture[3:].rstrip("a"))


@dataclasses.dataclass
class Entry:
    name: str
    text: Text
    registers: int = 0
    spilled: int = 0  # bytes stored and loaded
    stack: int = 0  # bytes of the frame
    shared: int = 0  # bytes of static shared memory


class Unknown(Exception):
    """This assembler does not know the architecture."""


def find_ptxas():
    named = os.environ.get("PTXAS")
    places = [named, shutil.which("ptxas"), "/usr/local/cuda/bin/ptxas", "/usr/lib/nvidia-cuda-toolkit/bin/ptxas"]
    return next((place for place in places if place and os.access(place, os.X_OK)), None)


def texts_of(build):
    return [Text.read(path) for folder in ("kernels", "bench") for path in sorted(pathlib.Path(build, folder).glob("**/*.ptx"))]


def read_entries(output, texts):
    """The entries of ptxas -v, which names one and then says what it takes. Its functions are named and then described likewise."""
    owner = {name: text for text in texts for name in re.findall(r"\.entry\s+(\w+)", text.path.read_text())}
    entries = {}
    current = None
    for line in output.splitlines():
        if found := re.search(r"(?:Compiling entry function '|Function properties for )(\w+)", line):
            name = found.group(1)
            current = entries.setdefault(name, Entry(name, owner[name])) if name in owner else current
        elif current and (found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line)):
            current.stack += int(found.group(1))
            current.spilled += int(found.group(2)) + int(found.group(3))
        elif current and (found := re.search(r"Used (\d+) registers", line)):
            current.registers = int(found.group(1))
            shared = re.search(r"(\d+) bytes smem", line)
            current.shared = int(shared.group(1)) if shared else 0
    return list(entries.values())


def losses_of(output, architecture):
    """What ptxas says of products of warpgroups that wait for each other, or of registers that it does not hand on (C7508, C7510, ...)."""
    return [f"{architecture}: {line.strip()}" for line in output.splitlines() if re.search(r"\(C75\d\d\)", line)]


def assemble(ptxas, architecture, texts):
    """The entries of these texts, and what the assembler refused or was not content with, in words."""
    fitting = [text for text in texts if text.target and text.runs_on(architecture)]
    if not fitting:
        return [], []
    command = [ptxas, f"-arch={architecture}", "-v", "-o", "/dev/null"]
    done = subprocess.run(command + [str(text.path) for text in fitting], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if "is not defined for option" in done.stdout:
        raise Unknown(architecture)
    if done.returncode == 0:
        return read_entries(done.stdout, fitting), losses_of(done.stdout, architecture)
    if len(fitting) > 1:  # one by one: whose fault it is
        parts = [assemble(ptxas, architecture, [text]) for text in fitting]
        return sum((entries for entries, _ in parts), []), sum((refused for _, refused in parts), [])
    said = next((line for line in done.stdout.splitlines() if "error" in line or "fatal" in line), f"exit status {done.returncode}")
    return [], [f"{fitting[0].path.name} for {architecture}: {said}"]


def faults_of(entries, texts, architecture):
    """A tuned entry that spills, and an entry of which nothing was read: a new form of report must not look like no spill."""
    found = [f"{e.name} on {architecture}: a tuned kernel spills {e.spilled} bytes" for e in entries if e.text.tuned and e.spilled]
    seen = {e.text.path for e in entries if e.registers}
    return found + [f"{t.path.name} on {architecture}: the assembler's report was not understood" for t in texts
                    if t.target and t.runs_on(architecture) and t.path not in seen]


def print_table(results):
    """Registers per architecture, then whatever lies in memory."""
    names = sorted({e.name for entries in results.values() for e in entries})
    print(f"{'registers':26}" + "".join(f"{a:>8}" for a in results))
    for name in names:
        row = [next((e for e in entries if e.name == name), None) for entries in results.values()]
        print(f"{name:26}" + "".join(f"{e.registers if e else '-':>8}" for e in row))
    for architecture, entries in results.items():
        for e in entries:
            if e.spilled or e.stack or e.shared:
                print(f"{architecture} {e.name}{' (tuned)' if e.text.tuned else ''}: {e.stack} bytes of stack, {e.spilled} spilled, {e.shared} shared")


def check(build, architectures):
    """Assembles all of them, two processes at a time. Exit status of a test."""
    ptxas, texts = find_ptxas(), texts_of(build)
    if not texts:
        print("NOT RUN: this build has no PTX")
        return 77
    if not ptxas:
        print(f"NOT RUN: {MISSING}")
        return 77
    faults = [f"{text.path.name} names no .target" for text in texts if not text.target]
    # Halves, so that two processes share the work of one architecture as well.
    shares = [(a, texts[i::PROCESSES]) for a in architectures for i in range(PROCESSES)]
    results, unknown = {}, []
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        for (architecture, share), job in [(s, pool.submit(assemble, ptxas, *s)) for s in shares]:
            try:
                entries, refused = job.result()
            except Unknown:
                unknown.append(architecture)
                continue
            results.setdefault(architecture, []).extend(entries)
            faults += refused + (faults_of(entries, share, architecture) if not refused else [])
    print_table(results)
    for architecture in dict.fromkeys(unknown):
        print(f"NOT RUN: {architecture} is not known to this ptxas ({ptxas})")
    for fault in faults:
        print("FAILED", fault)
    tuned = sorted({t.path.stem for t in texts if t.tuned})
    print(f"{len(texts)} texts for {', '.join(results)}; tuned: {', '.join(tuned) or 'none in this build'}")
    return 1 if faults or not results else 0
