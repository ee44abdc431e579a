"""What the pages show as output of devprobe is what devprobe prints.
SPDX-License-Identifier: Apache-2.0
TEST: timeout=120
A block after <!-- output: ARGUMENTS --> is what devprobe prints when it is called so in the top folder of the tree; after
<!-- output N: ARGUMENTS --> it also ends with exit status N. "--update" writes the blocks anew."""
import glob
import os
import re
import shlex
import subprocess
import sys

COMMENT = re.compile(r"^<!-- output(?: (\d+))?: (.*) -->$")


def pages(root):
    return sorted(glob.glob(os.path.join(root, "docs", "*.md")) + [os.path.join(root, "README.md")])


def blocks(lines):
    """(line number of the comment, status, arguments, first line of the block, line of its end)."""
    for at, line in enumerate(lines):
        found = COMMENT.match(line)
        if not found:
            continue
        assert lines[at + 1] in ("```", "```text"), f"line {at + 2}: expected a text block"
        yield at + 1, int(found[1] or 0), found[2], at + 2, lines.index("```", at + 2)


def output(devprobe, root, arguments, status):
    done = subprocess.run([devprobe, *shlex.split(arguments)], cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == status, f"devprobe {arguments}: exit status {done.returncode}, expected {status}\n{done.stdout}"
    return done.stdout.rstrip("\n").split("\n")


def main():
    devprobe = os.environ.get("DEVPROBE")
    if not devprobe:
        print("NOT RUN: devprobe is not part of this build")
        sys.exit(77)
    root = os.environ.get("FH_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    wrong = count = 0
    for page in pages(root):
        with open(page, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for number, status, arguments, first, end in reversed(list(blocks(lines))):
            count += 1
            printed = output(devprobe, root, arguments, status)
            if printed == lines[first:end]:
                continue
            if "not for CUDA in this build" in " ".join(" ".join(printed).split()):
                print(f"NOT RUN: {os.path.relpath(page, root)}:{number}: it shows a build with PTX, and this one has none")
                continue
            wrong += 1
            if "--update" in sys.argv:
                lines[first:end] = printed
            else:
                print(f"{os.path.relpath(page, root)}:{number}: devprobe {arguments} prints now:\n" + "\n".join("  " + line for line in printed))
        if "--update" in sys.argv:
            with open(page, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
    assert count >= 10, f"only {count} outputs found"
    print(f"{count} outputs, {wrong} {'written anew' if '--update' in sys.argv else 'differ'}")
    sys.exit(bool(wrong) and "--update" not in sys.argv)


main()
