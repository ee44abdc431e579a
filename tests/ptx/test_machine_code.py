#!/usr/bin/python3
"""What a CUDA engineer looks for in the machine code of the tuned texts: nothing in local memory, tensor cores and asynchronous copies
where they are meant, dense inner loops of products, and enough bytes on their way where the memory is the limit.
SPDX-License-Identifier: Apache-2.0
TEST: label=full plain=yes timeout=300"""
import collections
import concurrent.futures
import os
import re
import sys

import assembly
import machine_code

# The least KiB of a multiprocessor on their way: bandwidth x latency, by data sheets and the field's estimates. 1.6 TB/s x 0.6 us / 108 of
# an A100 are 9 KiB, 3.4 TB/s x 0.7 us / 132 of an H100 18 KiB; twice that is asked for, for requests do not come evenly.
GPUS = {"sm_80": 20, "sm_90a": 32}

Product = collections.namedtuple("Product", "pattern useful floor least turn", defaults=(0, 0))
# Of the straight piece with the most of them. Floors lie a little below what was seen: 0.94 of products by tiles, which is 512 of them and
# 32 loads of 16 bytes. Squares of differences need an addition each. Products by mma have the loads of fragments among them, tf32 also the
# rounding of each element, by integers: a NaN must stay one; where a launch before has rounded them, 64 products have 16 loads. `least`
# of them are in one piece: what is issued once a panel, for the barrier and the copies, is little beside a panel of 16 steps or 32.
# `turn`: of all that a turn of the loop issues, copies and their addresses too, where both operands are by rows; it is what the products
# reach where each instruction takes a turn of the scheduler.
PRODUCTS = [Product(r"matmul_(tiles|split|fused_tiles)", ("FFMA",), 0.92),
            Product(r"matmul_(fused_)?stages", ("FFMA",), 0.93, 2048, 0.905),
            Product(r"matmul_(fused_)?small", ("FFMA",), 0.92, 1024, 0.865),
            Product(r"pairwise_(cosines|products)|topk_chunks", ("FFMA",), 0.88),
            Product(r"pairwise_squares|kmeans_\w+_tiles", ("FFMA", "FADD"), 0.92),
            Product(r"topk_(few|some)", ("FADD", "FMUL"), 0.88, 192),
            Product(r"kmeans_step_fused", ("FADD", "FMUL"), 0.92, 352),
            Product(r"fir_tiles", ("FMUL", "FADD"), 0.88, 128),
            Product(r"matmul_(bf16|f16)_mma", ("HMMA",), 0.60),
            Product(r"matmul_tf32_mma", ("HMMA",), 0.12),
            Product(r"matmul_tf32_mma_packed", ("HMMA",), 0.70, 64),
            Product(r"matmul_i8_mma", ("IMMA",), 0.50)]
# Entries, and instructions of which each has one at least.
USES = [(r"matmul_\w*mma(_packed|_thin)?", ("HMMA", "IMMA", "HGMMA", "IGMMA")),
        (r"matmul_\w*_mma", ("LDSM",)),
        (r"matmul_(\w+_)?(mma|mma_packed|stages)|matmul_(fused_)?small", ("LDGSTS",)),
        (r"matmul_\w*_wgmma(_packed)?(_small)?", ("HGMMA", "IGMMA")),
        (r"matmul_\w*_wgmma(_packed)?(_small)?", ("UTMALDG", "UBLKCP"))]
# Whose limit is the memory; the first of them move 16 bytes at a time, or 8 on the narrow side of a conversion.
WIDE = r"map_\w+_wide|axpy_wide|(bf16|f16)_from_f32_wide|f32_from_(bf16|f16)_wide"
ROWS = r"(layer_norm|rms_norm|l2_normalize|softmax|variance|variance_side)_(many|few)"
STREAMS = WIDE + r"|permute_\w+|(bincount|histogram)_count|(reduce|dot)_pieces|arg_(by_\d+|split|side|spread)|matmul_tf32_mma_pack|" \
    r"matmul_i8_mma_thin|kmeans_step_fused|topk_(one|few|some)|pack_weights_32_panels|" + ROWS


def share(product, code):
    piece, useful = machine_code.densest(code, product.useful)
    return piece, useful / max(1, len(piece))


def by_rows(turn):
    """One operand comes by 16 bytes, the other by elements, and nothing asks for bounds."""
    copies = [one for one in turn if one.is_a("LDGSTS")]
    return {one.bytes() for one in copies} == {4, 16} and not any(one.predicated or ".ZFILL" in one.name for one in copies)


def share_of_turn(product, code):
    hot = max(machine_code.loops_of(code), key=lambda loop: sum(one.is_a(*product.useful) for one in loop), default=[])
    return max((sum(one.is_a(*product.useful) for one in turn) / len(turn) for turn in machine_code.turns_of(hot) if by_rows(turn)),
               default=0)


def product_faults(name, code):
    for product in PRODUCTS:
        if re.fullmatch(product.pattern, name):
            piece, found = share(product, code)
            if found < product.floor:
                yield f"{found:.2f} of {len(piece)} instructions in its hot loop are {'/'.join(product.useful)}, expected {product.floor}"
            if sum(one.is_a(*product.useful) for one in piece) < product.least:
                yield f"no straight piece has {product.least} {'/'.join(product.useful)}"
            if product.turn and (whole := share_of_turn(product, code)) < product.turn:
                yield f"{whole:.3f} of a turn of its hot loop are {'/'.join(product.useful)}, expected {product.turn}"
            if "FFMA" in product.useful and any(one.is_a("LDS") and one.bytes() < 16 for one in piece):
                yield "its hot loop reads shared memory by less than 16 bytes"


def stream_of(entry, code):
    """Bytes of a thread on their way, in the worst of its long loops, and the KiB of a multiprocessor: 0 where no threads are stated."""
    said = re.search(rf"fh_threads {entry.name} (\d+)", entry.text.path.read_text())
    threads = int(said.group(1)) if said else 0
    mine = min((machine_code.bytes_under_way(loop) for loop in machine_code.long_loops(code)), default=0)
    return mine, mine * threads * machine_code.resident(entry.registers, max(1, threads)) // 1024


def stream_faults(entry, code, least):
    if re.fullmatch(STREAMS, entry.name):
        mine, all_of_them = stream_of(entry, code)
        if all_of_them < least:
            yield f"{mine} bytes of a thread on their way are {all_of_them} KiB of a multiprocessor, expected {least} and more"
    if re.fullmatch(WIDE, entry.name):
        sizes = {kind: max((one.bytes() for one in code if one.is_a(kind)), default=0) for kind in ("LDG", "STG")}
        if max(sizes.values()) < 16 or min(sizes.values()) < 8:
            yield f"it reads by {sizes['LDG']} bytes and writes by {sizes['STG']}, expected 16"


def faults_of(entry, code, least):
    if any(one.is_a("LDL", "STL") for one in code):
        yield "it uses local memory: registers were spilled, or an array was not kept in them"
    for pattern, kinds in USES:
        if re.fullmatch(pattern, entry.name) and not any(one.is_a(*kinds) for one in code):
            yield f"it has no {' or '.join(kinds)}"
    yield from product_faults(entry.name, code)
    yield from stream_faults(entry, code, least)


def row(entry, code):
    products = [f"{share(p, code)[1]:5.2f} of {len(share(p, code)[0])}" + (f", {share_of_turn(p, code):.3f} of a turn" if p.turn else "")
                for p in PRODUCTS if re.fullmatch(p.pattern, entry.name)]
    stream = f"{stream_of(entry, code)[1]:4} KiB" if re.fullmatch(STREAMS, entry.name) else ""
    return f"{entry.name:26}{entry.registers:10}{len([one for one in code if one.name]):13}  {''.join(products):12}{stream}"


def look(nvdisasm, assembler, architecture, text):
    """The rows of the table, and the faults, of one text."""
    cubin, said = assembly.cubin_of(assembler, architecture, text)
    if not cubin:
        return [], [f"{text.path.name} for {architecture}: {said.strip()}"]
    try:
        shown = machine_code.disassemble(nvdisasm, cubin)
    except machine_code.Refused as refused:
        return [], [f"{text.path.name} for {architecture}: {refused}"]
    entries = assembly.read_entries(said, [text])
    faults = [f"{e.name} on {architecture}: {fault}" for e in entries for fault in faults_of(e, shown[e.name], GPUS[architecture])]
    return [row(e, shown[e.name]) for e in entries], faults


def unreadable(nvdisasm, assembler, architecture, text):
    """Why nothing of an architecture can be looked at: this nvdisasm is older than the assembler, and refuses the first text. Or empty."""
    cubin, _ = assembly.cubin_of(assembler, architecture, text)
    version = assembly.said_by(nvdisasm, "--version")
    if not cubin or machine_code.may_read(version, assembler.version):
        return ""
    try:
        machine_code.disassemble(nvdisasm, cubin)
    except machine_code.Refused as refused:
        numbers = [".".join(map(str, machine_code.version_of(said))) or "unknown" for said in (version, assembler.version)]
        return f"nvdisasm (version {numbers[0]}) does not read what ptxas (version {numbers[1]}) wrote: {refused}"
    return ""


def not_looked_at(nvdisasm, assembler, architecture, mine):
    if not mine:
        return "this build has no text for it"
    if not assembler:
        return "no ptxas here knows it"
    return unreadable(nvdisasm, assembler, architecture, mine[0])


def names_of(text):
    return re.findall(r"\.entry\s+(\w+)", text.path.read_text())


def unmatched(names):
    """Patterns of this test that no entry of a build is called by."""
    patterns = [product.pattern for product in PRODUCTS] + [pattern for pattern, _ in USES] + [STREAMS]
    return [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)]


def check_the_check():
    """A loop of two fetches, of which the second waits for the first's use, and one where it does not."""
    def loop(*lines):
        return [machine_code.Instruction(*line.split(" ", 1)) for line in lines]
    first, second, use = "LDG.E.128 R4, [R2.64]", "LDG.E.128 R8, [R12.64]", "FADD R20, R4, R5"
    assert machine_code.bytes_under_way(loop(first, use, second)) == 16
    assert machine_code.bytes_under_way(loop(first, second, use)) == 32
    code = [machine_code.Instruction("", ".L_x_1"), *loop(first, use, "BRA `(.L_x_1)", "EXIT ")]
    assert [len(found) for found in machine_code.loops_of(code)] == [4], machine_code.loops_of(code)
    # A long loop that has lost its second fetch is not made up for by what does the rest, nor by one as long that has not.
    rest = [machine_code.Instruction("", ".L_x_2"), *loop(first, "BRA `(.L_x_2)")]
    lost = [machine_code.Instruction("", ".L_x_3"), *loop(first, use, second, "BRA `(.L_x_3)")]
    whole = [machine_code.Instruction("", ".L_x_4"), *loop(first, second, use, "BRA `(.L_x_4)")]
    assert [machine_code.bytes_under_way(long) for long in machine_code.long_loops(rest + lost + whole)] == [16, 32]
    skips = [*loop("FFMA R1, R1", "BRA P5, `(.L_x_2)", "LDGSTS.E [R1]"), machine_code.Instruction("", ".L_x_2"), *loop("BRA `(.L_x_1)")]
    assert sorted(len(turn) for turn in machine_code.turns_of(skips)) == [3, 4]
    assert list(product_faults("matmul_tiles", code)) and not list(product_faults("another", code))
    old, new = "Cuda compilation tools, release 11.8, V11.8.86", "Cuda compilation tools, release 12.9, V12.9.86"
    assert machine_code.may_read(new, old) and machine_code.may_read(new, new) and not machine_code.may_read(old, new)
    assert not machine_code.may_read("", new)
    try:
        machine_code.disassemble("false", "no.cubin")
    except machine_code.Refused as refused:
        assert "exit status 1" in str(refused)
    else:
        raise AssertionError("a program that fails was believed")


check_the_check()
texts = [text for text in assembly.texts_of(os.environ["FH_BINARY_DIR"]) if text.tuned and text.path.parent.name == "kernels"]
assemblers, nvdisasm = assembly.find_assemblers(), machine_code.find_nvdisasm()
reason = ("this build has no tuned PTX" if not texts else assembly.MISSING if not assemblers else
          "no nvdisasm here (sh tools/dev test fetches one, or set NVDISASM)" if not nvdisasm else "")
if reason:
    print(f"NOT RUN: {reason}")
    sys.exit(77)
faults, looked = [], []
with concurrent.futures.ThreadPoolExecutor(assembly.PROCESSES) as pool:
    for gpu in GPUS:
        ptxas, mine = assembly.assembler_for(assemblers, gpu), [text for text in texts if text.runs_on(gpu)]
        if why := not_looked_at(nvdisasm, ptxas, gpu, mine):
            print(f"NOT RUN: {gpu}: {why}")
            continue
        looked.append(gpu)
        print(f"{gpu:26}{'registers':>10}{'instructions':>13}  useful      on their way")
        for rows, found in pool.map(lambda text, ptxas=ptxas, gpu=gpu: look(nvdisasm, ptxas, gpu, text), mine):
            print(*rows, sep="\n")
            faults += found
# Of the texts: an architecture that was not looked at has some of the names alone.
faults += [f"no entry is called {pattern}: mend this test" for pattern in unmatched({name for text in texts for name in names_of(text)})]
for fault in faults:
    print("FAILED", fault)
sys.exit(1 if faults else 0 if looked else 77)
