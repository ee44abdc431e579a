# Compiles and runs every example; the README shows the very text of one. SPDX-License-Identifier: Apache-2.0
# TEST: timeout=120 plain=yes
import glob
import os
import subprocess
import tempfile

SOURCE, BINARY = os.environ["FH_SOURCE_DIR"], os.environ["FH_BINARY_DIR"]
LIBRARIES = ["-ljansson", "-lhwloc", "-lz", "-lpthread", "-ldl", "-lm"]
EXPECTED = {"multiply.c": "4 5\n10 11\n"}


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **options)
    if done.returncode != 0:
        raise SystemExit(f"exit status {done.returncode} from {' '.join(command)}\n{done.stdout}")
    return done.stdout


def main():
    examples = sorted(glob.glob(os.path.join(SOURCE, "examples", "*.c")))
    if {os.path.basename(e) for e in examples} != set(EXPECTED):
        raise SystemExit(f"examples/ and this test's list differ: {examples}")
    with tempfile.TemporaryDirectory() as where:
        for example in examples:
            program = os.path.join(where, "example")
            run([os.environ["CC"], "-std=c17", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(SOURCE, "include"), example, "-o", program,
                 os.path.join(BINARY, "libfoghorn.a"), *LIBRARIES])
            for devices in ("", "cpu"):
                environment = dict(os.environ, **({"FOGHORN_DEVICES": devices} if devices else {}))
                output = run([program], env=environment)
                if output != EXPECTED[os.path.basename(example)]:
                    raise SystemExit(f"{example} printed:\n{output}")
    text = open(os.path.join(SOURCE, "examples", "multiply.c"), encoding="utf-8").read()
    if len(text.splitlines()) >= 30:
        raise SystemExit("examples/multiply.c has 30 lines or more")
    if "```c\n" + text + "```" not in open(os.path.join(SOURCE, "README.md"), encoding="utf-8").read():
        raise SystemExit("README.md does not show the text of examples/multiply.c")


main()
