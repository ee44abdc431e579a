#!/usr/bin/python3
"""The PTX of every kernel assembles for the oldest GPU that it is meant for (or that the assembler still knows) and for a new one; and the
check sees what it is there for. SPDX-License-Identifier: Apache-2.0
TEST: plain=yes timeout=120"""
import os
import pathlib
import sys
import tempfile

import assembly

HEAD = ".version 6.0\n.target {target}\n.address_size 64\n"
# 300 values that live at once in 32 registers a thread: 2048 threads of a multiprocessor leave no more.
SPILLS = HEAD + """.visible .entry crowded(.param .u64 p) .maxntid 1024, 1, 1 .minnctapersm 2 {{
  .reg .u64 %a; .reg .f32 %f<300>;
  ld.param.u64 %a, [p];
{loads}{stores}  ret;
}}
"""
# The sums of a product are used before it was waited for: the assembler waits in the text's place.
IMPATIENT = """.version 8.0
.target sm_90a
.address_size 64
.visible .entry impatient(.param .u64 p) .reqntid 128, 1, 1 {
  .reg .u64 %a; .reg .f32 %f<4>;
  ld.param.u64 %a, [p];
  wgmma.fence.sync.aligned;
  wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %a, %a, 0, 1, 1, 0, 0;
  wgmma.commit_group.sync.aligned;
  add.f32 %f0, %f0, %f1;
  st.global.f32 [%a], %f0;
  wgmma.wait_group.sync.aligned 0;
  ret;
}
"""


def crowded(target):
    loads = "".join(f"  ld.volatile.global.f32 %f{i}, [%a+{4 * i}];\n" for i in range(300))
    stores = "".join(f"  st.volatile.global.f32 [%a+{4 * i}], %f{299 - i};\n" for i in range(300))
    return SPILLS.format(target=target, loads=loads, stores=stores)


def check_the_check(assemblers):
    """A tuned text that spills, and one that is no PTX, are found."""
    ptxas = assembly.assembler_for(assemblers, "sm_90")
    with tempfile.TemporaryDirectory() as folder:
        bad, good = pathlib.Path(folder, "bad.ptx"), pathlib.Path(folder, "crowded_sm80.ptx")
        bad.write_text(HEAD.format(target="sm_60") + ".visible .entry bad() { nonsense; }\n")
        good.write_text(crowded("sm_60"))
        texts = [assembly.Text.read(path) for path in (bad, good)]
        entries, refused = assembly.assemble(ptxas, "sm_90", texts)
        assert [e.name for e in entries] == ["crowded"] and entries[0].text.tuned, entries
        assert len(refused) == 1 and "bad.ptx" in refused[0], refused
        assert any("spills" in fault for fault in assembly.faults_of(entries, texts[1:], "sm_90")), entries
        assert assembly.faults_of([], texts[1:], "sm_90"), "a report that was not understood passes"
        if hopper := assembly.assembler_for(assemblers, "sm_90a"):
            impatient = pathlib.Path(folder, "impatient_sm90a.ptx")
            impatient.write_text(IMPATIENT)
            entries, losses = assembly.assemble(hopper, "sm_90a", [assembly.Text.read(impatient)])
            assert [e.name for e in entries] == ["impatient"] and losses, (entries, losses)
    only = assembly.Text(pathlib.Path("x_sm90a.ptx"), "sm_90a", True)
    assert only.runs_on("sm_90a") and not only.runs_on("sm_90") and not only.runs_on("sm_100")
    assert assembly.Text(only.path, "sm_80", True).runs_on("sm_90a") and not assembly.Text(only.path, "sm_80", True).runs_on("sm_75")


assemblers = assembly.find_assemblers()
if not assemblers:
    print(f"NOT RUN: {assembly.MISSING}")
    sys.exit(77)
check_the_check(assemblers)
oldest = next(a for a in assembly.ARCHITECTURES if assembly.assembler_for(assemblers, a))
for architecture in assembly.ARCHITECTURES[:assembly.ARCHITECTURES.index(oldest)]:
    print(f"NOT RUN: {architecture} is not known to any ptxas here; {oldest} is the oldest that is")
sys.exit(assembly.check(os.environ["FH_BINARY_DIR"], [oldest, "sm_90"]))
