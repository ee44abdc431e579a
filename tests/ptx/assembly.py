"""Assembles the PTX of a build for one GPU generation after another, and reads what each entry takes. SPDX-License-Identifier: Apache-2.0

A text for "sm_90a" runs on that generation alone, any other on its own and every later one. A tuned text (a block of threads with shared
memory) must not spill: its tiles are chosen to fit the registers. A dialect text is one for every device, so its spills are only told.
"""
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

ARCHITECTURES = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100")
PROCESSES = 2
MISSING = "no ptxas here, so no PTX was assembled (sh tools/dev test fetches one, apt: nvidia-cuda-toolkit, or set PTXAS)"
# Bytes stored and loaded, of kernels that have all 255 registers, or as many as their threads leave: the address arithmetic of Pascal and
# Volta takes more of them than that of later GPUs. With more registers for arg_side and arg_spread
# ptxas has fewer loads of their loops under way, for every GPU.
SPILLS_ALLOWED = {("matmul_tiles", "sm_60"): 8, ("matmul_fused_tiles", "sm_60"): 560, ("variance_side_many", "sm_60"): 284,
                  ("arg_side", "sm_60"): 8, ("arg_side", "sm_70"): 16, ("arg_spread", "sm_60"): 32, ("arg_spread", "sm_70"): 72}
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


@dataclasses.dataclass
class Assembler:
    path: str
    version: str
    knows: tuple  # of architectures


def fetched(name):
    """Programs that `sh tools/dev test` has from PyPI (fetch.sh); none where that did not come to its end."""
    environment = pathlib.Path(os.environ["FH_SOURCE_DIR"], "build", "cuda-venv")
    return sorted(environment.glob(f"lib/python3*/site-packages/nvidia/*/bin/{name}")) if (environment / "holds").exists() else []


def said_by(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def find_assemblers():
    """What is installed, and what was fetched: CUDA 13's does not know the GPUs before sm_75."""
    places = [os.environ.get("PTXAS"), shutil.which("ptxas"), "/usr/local/cuda/bin/ptxas", "/usr/lib/nvidia-cuda-toolkit/bin/ptxas"]
    places = [str(place) for place in places + fetched("ptxas") if place and os.access(place, os.X_OK)]
    found = []
    for place in dict.fromkeys(places):
        found.append(Assembler(place, said_by(place, "--version"), tuple(re.findall(r"'(sm_\d+[af]?)'", said_by(place, "--help")))))
    return found


def assembler_for(assemblers, architecture):
    return next((one for one in assemblers if architecture in one.knows), None)


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


def cubin_of(assembler, architecture, text):
    """The machine code of a text, which may be that of a run before, and what the assembler said. Without machine code it was refused."""
    folder = pathlib.Path(os.environ["FH_BINARY_DIR"], "tests", "cubins", architecture)
    cubin, report = folder / f"{text.path.stem}.cubin", folder / f"{text.path.stem}.txt"
    key = hashlib.sha256(f"{assembler.version}\n{text.path}\n".encode() + text.path.read_bytes()).hexdigest()
    try:
        said = report.read_text()
    except FileNotFoundError:  # also where another test replaces it just now
        said = ""
    if said.startswith(key) and cubin.exists():
        return cubin, said
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{text.path.stem}.{os.getpid()}"
    command = [assembler.path, f"-arch={architecture}", "-v", "-o", str(new), str(text.path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        new.unlink(missing_ok=True)
        return None, done.stdout or f"error: exit status {done.returncode}"
    report.unlink(missing_ok=True)  # the report is last: with the other's machine code it would be believed
    new.replace(cubin)
    new.write_text(f"{key}\n{done.stdout}")
    new.replace(report)
    return cubin, done.stdout


def assemble(assembler, architecture, texts):
    """The entries of these texts, and what the assembler refused or was not content with, in words."""
    entries, refused = [], []
    for text in texts:
        if not text.target or not text.runs_on(architecture):
            continue
        cubin, said = cubin_of(assembler, architecture, text)
        if cubin:
            entries += read_entries(said, [text])
            refused += losses_of(said, architecture)
        else:
            fault = next((line for line in said.splitlines() if "error" in line or "fatal" in line), said.strip())
            refused.append(f"{text.path.name} for {architecture}: {fault}")
    return entries, refused


def faults_of(entries, texts, architecture):
    """A tuned entry that spills, and an entry of which nothing was read: a new form of report must not look like no spill."""
    found = [f"{e.name} on {architecture}: a tuned kernel spills {e.spilled} bytes" for e in entries
             if e.text.tuned and e.spilled > SPILLS_ALLOWED.get((e.name, architecture), 0)]
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
                kind = " (tuned)" if e.text.tuned else ""
                print(f"{architecture} {e.name}{kind}: {e.stack} bytes of stack, {e.spilled} spilled, {e.shared} shared")


def share_out(assemblers, architectures, texts):
    """Assembles all of them, two processes at a time: entries by architecture, and the faults."""
    # Halves, so that two processes share the work of one architecture as well.
    shares = [(assembler_for(assemblers, a), a, texts[i::PROCESSES]) for a in architectures for i in range(PROCESSES)]
    results, faults = {}, []
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        for (_, architecture, share), job in [(s, pool.submit(assemble, *s)) for s in shares]:
            entries, refused = job.result()
            results.setdefault(architecture, []).extend(entries)
            faults += refused + (faults_of(entries, share, architecture) if not refused else [])
    return results, faults


def check(build, architectures):
    """Exit status of a test."""
    assemblers, texts = find_assemblers(), texts_of(build)
    if not texts:
        print("NOT RUN: this build has no PTX")
        return 77
    if not assemblers:
        print(f"NOT RUN: {MISSING}")
        return 77
    known = [a for a in architectures if assembler_for(assemblers, a)]
    results, faults = share_out(assemblers, known, texts)
    faults += [f"{text.path.name} names no .target" for text in texts if not text.target]
    print_table(results)
    for architecture in architectures:
        if architecture not in known:
            print(f"NOT RUN: {architecture} is not known to any ptxas here: {', '.join(one.path for one in assemblers)}")
    for fault in faults:
        print("FAILED", fault)
    tuned = sorted({t.path.stem for t in texts if t.tuned})
    print(f"{len(texts)} texts for {', '.join(results)}; tuned: {', '.join(tuned) or 'none in this build'}")
    return 1 if faults or not results else 0
