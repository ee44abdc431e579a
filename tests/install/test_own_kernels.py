# Kernels from outside the tree, built against an installed and moved Foghorn, on every variant of this machine. SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=400 plain=yes
import json
import os
import re
import shutil
import subprocess
import tempfile

SOURCE, CMAKE = os.environ["FH_SOURCE_DIR"], os.environ["CMAKE"]
EXAMPLE = os.path.join(SOURCE, "examples", "own-kernels")
KERNELS = ["mandelbrot", "edit_distance", "dtw"]
PRINTED = ['"kitten" and "sitting": 3', '"foghorn" and "leghorn": 2', '"" and "abc": 3', '"same" and "same": 0', "warped distance 1"]


def run(command, status=0, **variables):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, env=dict(os.environ, **variables))
    if done.returncode != status:
        raise SystemExit(f"exit status {done.returncode} instead of {status} from {' '.join(command)}\n{done.stdout[-6000:]}")
    return done.stdout


def expect(text, part):
    if part not in text:
        raise SystemExit(f"this lacks: {part}\n{text[-4000:]}")


def configure(project, where, tree, *options):
    return run([CMAKE, "-S", project, "-B", where, "-G", "Ninja", f"-DCMAKE_C_COMPILER={os.environ['CC']}", f"-DCMAKE_PREFIX_PATH={tree}", *options])


def verified(devprobe, plugin, device):
    """What devprobe verify says of each kernel's variants on a device."""
    table = json.loads(run([devprobe, "verify", "--json", "--device", device, *KERNELS], FOGHORN_PLUGINS=plugin))
    for row in table["rows"]:
        print(f"{row['kernel']:14} {row['variant']:14} {row['result']:8} {row['calls']:6} calls {row['detail'] or ''}")
    return {(row["kernel"], row["variant"]): row["result"] for row in table["rows"]}


def the_pages_kernel_is_the_examples():
    """docs/add-a-kernel.md shows the same text within the tree."""
    page = open(os.path.join(SOURCE, "docs", "add-a-kernel.md"), encoding="utf-8").read()
    for name in ("mandelbrot.k", "mandelbrot.c"):
        block = re.search(rf"<!-- file: kernels/mandelbrot/{re.escape(name)} -->\n```c\n(.*?)```\n", page, re.S).group(1)
        if block != open(os.path.join(EXAMPLE, "mandelbrot", name), encoding="utf-8").read():
            raise SystemExit(f"examples/own-kernels/mandelbrot/{name} is not what docs/add-a-kernel.md shows")


def every_variant_passes(devprobe, plugin):
    here = run([devprobe, "matrix", "--json"])
    runs = {(row["group"], row["name"]) for row in json.loads(here)["rows"] if row["runs"]}
    rows = verified(devprobe, plugin, "cpu")
    for kernel in KERNELS:
        for isa in [name for group, name in sorted(runs) if group == "isa" and not name.startswith("avx512_")]:
            if rows.get((kernel, f"cpu/{isa}")) != "pass":
                raise SystemExit(f"{kernel} on cpu/{isa}: {rows.get((kernel, f'cpu/{isa}'))}")
    if ("backend", "opencl") not in runs:
        print("NOT RUN: the kernels on OpenCL: no OpenCL device")
        return False
    rows = verified(devprobe, plugin, "opencl:0")
    if [rows.get((kernel, "opencl:0")) for kernel in KERNELS] != ["pass"] * len(KERNELS):
        raise SystemExit(f"on OpenCL: {rows}")
    return True


def a_build_without_clang_says_so(tree, where):
    said = configure(EXAMPLE, os.path.join(where, "no-ptx"), tree, "-DFOGHORN_PTX=OFF")
    expect(said, "this build has no PTX: FOGHORN_PTX is OFF")
    if said.count("this build has no PTX") != 1:
        raise SystemExit(f"it says so several times:\n{said}")


def code_without_a_text_has_its_own_hash(tree, where):
    """A profile is of the code that was measured: a changed source, or header, is other code."""
    project, build = os.path.join(where, "hashed"), os.path.join(where, "hashed", "build")
    shutil.copytree(os.path.join(EXAMPLE, "dtw"), os.path.join(project, "dtw"))
    with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write("cmake_minimum_required(VERSION 3.25)\nproject(hashed LANGUAGES C)\nfind_package(foghorn REQUIRED)\nfoghorn_add_plugin(hashed dtw)\n")
    text = os.path.join(project, "dtw", "dtw.k")
    if os.path.exists(text):
        os.remove(text)
    configure(project, build, tree)

    def hash_now():
        out = os.path.join(build, "foghorn", "hashed", "dtw.hash.inc")
        run([CMAKE, "--build", build, "--target", "hashed_kernel_dtw"])
        with open(out, encoding="utf-8") as file:
            return re.search(r"#define FH_HASH_dtw UINT64_C\((0x[0-9a-f]{16})\)", file.read()).group(1)

    hashes = [hash_now()]
    for name in ("dtw.c", "more.h"):
        with open(os.path.join(project, "dtw", name), "a", encoding="utf-8") as file:
            file.write("/* changed */\n")
        hashes.append(hash_now())
    if len(set(hashes)) != 3:
        raise SystemExit(f"other code, the same hash: {hashes}")


BLOCK_TEXT = """/* The same by blocks of threads: one for each row. SPDX-License-Identifier: Apache-2.0 */
#define mandelbrot_rows_PARAMS(P)                                                                                \\
  P(IN, re) P(IN, im) P(OUT, steps) P(I64, n1) P(I64, d) P(I64, iterations) P(I64, rs0) P(I64, rs1) P(I64, rs)   \\
  P(I64, is0) P(I64, is1) P(I64, is) P(I64, ss0) P(I64, ss1) P(I64, ss)

FH_BLOCK(mandelbrot_rows, 32, 128) {
  const long row = fh_block(0);
  if (fh_thread() == 0) *(fh_local float *)fh_shared = 4.0f;
  fh_barrier();
  const float four = *(fh_local const float *)fh_shared;
  for (long i = fh_thread(); i < d; i += 32) {
    const float cr = re[row / n1 * rs0 + row % n1 * rs1 + i * rs], ci = im[row / n1 * is0 + row % n1 * is1 + i * is];
    float zr = 0.0f, zi = 0.0f, count = 0.0f;
    for (long step = 0; step < iterations; step++) {
      const float rr = zr * zr, ii = zi * zi;
      if (rr + ii <= four) count += 1.0f;
      zi = (zr + zr) * zi + ci;
      zr = (rr - ii) + cr;
    }
    steps[row / n1 * ss0 + row % n1 * ss1 + i * ss] = count;
  }
}
"""
BLOCK_SHAPE = """static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){{(uint32_t)bound->stages[0].items, 1, 1}, 32, 0};
}

const fh_kernel_contract"""
BLOCK_ROW = """.case_at = mandelbrot_case_at,
    FH_BLOCKS({"rows", "mandelbrot_rows", "mandelbrot_block", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, NULL, 0.5}),"""


def blocks_from_outside(tree, where, devprobe, opencl):
    """A kernel of one's own with a text for blocks of threads: built, registered, and tested where there is a device."""
    project, build = os.path.join(where, "blocks"), os.path.join(where, "blocks", "build")
    shutil.copytree(os.path.join(EXAMPLE, "mandelbrot"), os.path.join(project, "mandelbrot"))
    with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
        file.write("cmake_minimum_required(VERSION 3.25)\nproject(blocks LANGUAGES C)\nfind_package(foghorn REQUIRED)\nfoghorn_add_plugin(blocks mandelbrot)\n")
    contract = os.path.join(project, "mandelbrot", "mandelbrot.c")
    source = open(contract, encoding="utf-8").read()
    source = source.replace("const fh_kernel_contract", BLOCK_SHAPE).replace(".case_at = mandelbrot_case_at,", BLOCK_ROW)
    with open(contract, "w", encoding="utf-8") as file:
        file.write(source)
    text = os.path.join(project, "mandelbrot", "mandelbrot_block.k")
    with open(text, "w", encoding="utf-8") as file:
        file.write(BLOCK_TEXT)
    configure(project, build, tree)
    run([CMAKE, "--build", build])
    plugin = os.path.join(build, "blocks.so")
    said = json.loads(run([devprobe, "kernels", "mandelbrot", "--json"], FOGHORN_PLUGINS=plugin))
    expect(json.dumps(said), '"blocks": [{"name": "rows", "numerics": "exact", "capability": 60, "only": false, "opencl": true}]')
    if opencl:
        table = json.loads(run([devprobe, "verify", "--json", "--device", "opencl:0", "mandelbrot"], FOGHORN_PLUGINS=plugin))
        rows = {row["variant"]: row["result"] for row in table["rows"]}
        if rows.get("opencl:0/rows") != "pass":
            raise SystemExit(f"the text for blocks on OpenCL: {rows}")
    else:
        print("NOT RUN: the text for blocks: no OpenCL device")
    os.rename(text, text.replace("_block", "_sm75"))
    output = run([CMAKE, build], status=1)
    expect(re.sub(r"\s+", " ", output), "for which device is this text? expected mandelbrot.k, or mandelbrot_ and one of")


def wrong_folders_are_refused(tree, where):
    """Each with the folder, and what was expected."""
    wrong = {"empty": "has no contract: expected the file empty.c in it", "Big": "gives the kernel its name: expected a-z"}
    for folder, said in wrong.items():
        project = os.path.join(where, "wrong-" + folder)
        os.makedirs(os.path.join(project, folder))
        with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write(f"cmake_minimum_required(VERSION 3.25)\nproject(wrong LANGUAGES C)\nfind_package(foghorn REQUIRED)\nfoghorn_add_plugin(wrong {folder})\n")
        output = run([CMAKE, "-S", project, "-B", os.path.join(project, "build"), f"-DCMAKE_PREFIX_PATH={tree}"], status=1)
        expect(re.sub(r"\s+", " ", output), said)


def main():
    the_pages_kernel_is_the_examples()
    with tempfile.TemporaryDirectory() as where:
        tree, build = os.path.join(where, "tree"), os.path.join(where, "build")
        run([CMAKE, "--install", os.environ["FH_BINARY_DIR"], "--prefix", os.path.join(where, "first")])
        shutil.move(os.path.join(where, "first"), tree)
        print(configure(EXAMPLE, build, tree, "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Wshadow -Werror"))
        run([CMAKE, "--build", build])
        plugin, devprobe = os.path.join(build, "own_plugin.so"), os.path.join(tree, "bin", "devprobe")
        opencl = every_variant_passes(devprobe, plugin)
        outputs = {isa: run([os.path.join(build, "own_kernels")], FOGHORN_DEVICES="cpu", FOGHORN_ISA=isa) for isa in ("scalar", "avx512")}
        for line in PRINTED:
            expect(outputs["scalar"], line)
        if outputs["scalar"] != outputs["avx512"]:
            raise SystemExit(f"other results on another instruction set:\n{outputs}")
        expect(run([devprobe, "explain", "dtw"], FOGHORN_PLUGINS=plugin, FOGHORN_DEVICES="cpu"), "window")
        expect(run([devprobe, "verify", "dtw"], status=2), "no kernel is named \"dtw\"")
        expect(run([devprobe, "kernels"], status=3, FOGHORN_PLUGINS="/nonexistent/k.so"), "/nonexistent/k.so cannot be loaded")
        a_build_without_clang_says_so(tree, where)
        code_without_a_text_has_its_own_hash(tree, where)
        wrong_folders_are_refused(tree, where)
        blocks_from_outside(tree, where, devprobe, opencl)


main()
