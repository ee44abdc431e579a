"""Reads what nvdisasm shows of a cubin: entries, their loops and straight pieces, and the fetches that are under way at a time.
SPDX-License-Identifier: Apache-2.0"""
import dataclasses
import os
import re
import shutil
import subprocess

import assembly

INSTRUCTION = re.compile(r"\s*/\*[0-9a-f]+\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)\s*([^;]*);")
LABEL = re.compile(r"(\.L_\w+):")
BRANCH = re.compile(r"\((\.L_\w+)\)")
REGISTER = re.compile(r"\bR(\d+)\b")
SIZES = ((".128", 16), (".64", 8), (".U8", 1), (".S8", 1), (".U16", 2), (".S16", 2))
REGISTERS, THREADS = 65536, 2048  # of a multiprocessor


@dataclasses.dataclass
class Instruction:
    name: str  # "LDG.E.128"; empty for a label
    operands: str  # of a label its name
    predicated: bool = False

    def is_a(self, *kinds):
        return self.name.split(".")[0] in kinds

    def bytes(self):
        return next((size for mark, size in SIZES if mark in self.name), 4)


def find_nvdisasm():
    places = [os.environ.get("NVDISASM"), *assembly.fetched("nvdisasm"), shutil.which("nvdisasm"), "/usr/local/cuda/bin/nvdisasm"]
    return next((str(place) for place in places if place and os.access(place, os.X_OK)), None)


class Refused(Exception):
    """nvdisasm does not read a cubin: in its words."""


def version_of(said):
    """Of what a program of the CUDA toolkit says of its version; empty: it is not understood."""
    found = re.search(r"\bV(\d+(?:\.\d+)+)", said)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def may_read(nvdisasm_says, ptxas_says):
    """Machine code is read by the toolkit that wrote it and by later ones; the last number is each program's own."""
    return bool(version_of(nvdisasm_says)) and version_of(nvdisasm_says)[:2] >= version_of(ptxas_says)[:2]


def disassemble(nvdisasm, cubin):
    """The instructions of each entry."""
    done = subprocess.run([nvdisasm, "-c", str(cubin)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"{nvdisasm}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    entries, code = {}, []
    for line in done.stdout.splitlines():
        if found := re.match(r"\.text\.(\w+):", line):
            code = entries.setdefault(found.group(1), [])
        elif found := LABEL.match(line):
            code.append(Instruction("", found.group(1)))
        elif found := INSTRUCTION.match(line):
            code.append(Instruction(found.group(2), found.group(3), bool(found.group(1))))
    return entries


def loops_of(code):
    """The innermost ones, from the label that a later branch goes back to."""
    places = {one.operands: i for i, one in enumerate(code) if not one.name}
    back = [(places[found.group(1)], i) for i, one in enumerate(code)
            if one.is_a("BRA") and (found := BRANCH.search(one.operands)) and places.get(found.group(1), i) < i - 1]
    return [code[begin:end + 1] for begin, end in back if not any((b, e) != (begin, end) and begin <= b and e <= end for b, e in back)]


def pieces_of(code):
    """Runs without a label or a branch."""
    piece = []
    for one in code:
        if one.name and not one.is_a("BRA", "EXIT", "CALL", "RET"):
            piece.append(one)
        elif piece:
            yield piece
            piece = []


def densest(code, kinds):
    """The straight piece with the most of them: its instructions, and how many they are."""
    found = max(pieces_of(code), key=lambda piece: sum(one.is_a(*kinds) for one in piece), default=[])
    return found, sum(one.is_a(*kinds) for one in found)


def turns_of(loop):
    """What is issued from a loop's label to its end, for every way through its forward branches."""
    places = {one.operands: i for i, one in enumerate(loop) if not one.name}
    ways = [(0, [])]
    while ways:
        i, issued = ways.pop()
        while i < len(loop):
            one = loop[i]
            i += 1
            if one.name:
                issued.append(one)
            if i < len(loop) and one.is_a("BRA"):
                to = places.get(BRANCH.search(one.operands).group(1), 0)
                if to >= i:
                    ways.append((to, issued[:]))
                if not one.predicated and one.operands.startswith("`"):
                    break
        else:
            yield issued


def bytes_under_way(loop):
    """Of a thread: the most that was asked for of global memory before the first of it is used."""
    waiting, most = {}, 0
    for one in loop:
        used = {int(number) for number in REGISTER.findall(one.operands)}
        if one.is_a("LDG"):
            to = int(REGISTER.search(one.operands).group(1))
            used -= {to}
            waiting = {} if used & set(waiting) else waiting
            for i in range(max(1, one.bytes() // 4)):
                waiting[to + i] = min(4, one.bytes())
            most = max(most, sum(waiting.values()))
        elif used & set(waiting):
            waiting = {}
    return most


def long_loops(code):
    """The innermost loops that fetch the most in a round: they do the work of long rows, others what is left of them."""
    fetched = [(sum(one.bytes() for one in loop if one.is_a("LDG")), loop) for loop in loops_of(code)]
    most = max((size for size, _ in fetched), default=0)
    return [loop for size, loop in fetched if size == most > 0]


def resident(registers, threads):
    """Blocks of a multiprocessor of a large GPU, as far as registers and threads say."""
    return max(1, min(THREADS // threads, REGISTERS // ((registers + 7) // 8 * 8 * threads)))
