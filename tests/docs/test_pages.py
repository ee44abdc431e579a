# Follows docs/add-a-*.md word for word in a copy of the tree. SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=1200 serial=yes sanitize=no cross=no
"""A page is a recipe: HTML comments before its code blocks say what to do with them.

<!-- file: PATH -->     the block becomes this file
<!-- append: PATH -->   the block is added at the end of this file
<!-- insert: PATH: TEXT -->  the block is put before the first line that contains TEXT
<!-- run -->            the block is run by sh, must succeed
<!-- fails -->          the block is run by sh, must fail
<!-- expect: TEXT -->   the output of the last run contains TEXT
A block without such a comment is only shown. The pages are followed one after another in one copy.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

# The tests that the pages run: all the others would be linked anew on every page.
PROGRAMS = "backend_(null|mirror)|test_machines|test_rules"
PAGES = ["docs/add-a-kernel.md", "docs/add-a-backend.md", "docs/add-a-cause.md"]
COMMENT = re.compile(r"^<!-- (file|append|insert|run|fails|expect)(?:: (.*?))? -->$")


def steps(path):
    """Yields (line number, action, argument, block) of a page."""
    lines = open(path, encoding="utf-8").read().split("\n")
    at = 0
    while at < len(lines):
        found = COMMENT.match(lines[at])
        if lines[at].startswith("<!-- ") and not found:
            raise SystemExit(f"{path}:{at + 1}: a comment that means nothing here: {lines[at]}")
        if not found:
            at += 1
            continue
        line, action, argument = at + 1, found.group(1), found.group(2)
        at += 1
        if action == "expect":
            yield line, action, argument, None
            continue
        if not lines[at].startswith("```"):
            raise SystemExit(f"{path}:{at + 1}: expected a code block")
        end = lines.index("```", at + 1)
        yield line, action, argument, "\n".join(lines[at + 1:end]) + "\n"
        at = end + 1


def run(command, where, must_fail=False):
    done = subprocess.run(["sh", "-ec", command], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    if (done.returncode != 0) != must_fail:
        print(done.stdout[-6000:])
        raise SystemExit(f"exit status {done.returncode} from:\n{command}")
    return done.stdout


def write(path, text, mode):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8") as out:
        out.write(text)


def insert(path, before, block):
    lines = open(path, encoding="utf-8").read().split("\n")
    at = next((i for i, line in enumerate(lines) if before in line), None)
    if at is None:
        raise SystemExit(f"{path}: no line contains: {before}")
    write(path, "\n".join(lines[:at] + block.rstrip("\n").split("\n") + lines[at:]), "w")


def follow(page, where):
    output = ""
    for line, action, argument, block in steps(os.path.join(where, page)):
        print(f"{page}:{line}: {action} {argument or ''}", flush=True)
        if action == "file":
            write(os.path.join(where, argument), block, "w")
        elif action == "append":
            write(os.path.join(where, argument), block, "a")
        elif action == "insert":
            path, before = argument.split(": ", 1)
            insert(os.path.join(where, path), before, block)
        elif action in ("run", "fails"):
            output = run(block, where, action == "fails")
        elif argument not in output:
            print(output[-6000:])
            raise SystemExit(f"{page}:{line}: the output does not contain: {argument}")


def copy_tree(source, where):
    listed = subprocess.run(["git", "-C", source, "ls-files", "--cached", "--others", "--exclude-standard"], stdout=subprocess.PIPE, text=True)
    if listed.returncode != 0:
        print("NOT RUN: the tree is not a git checkout, so what belongs to it cannot be told")
        raise SystemExit(77)
    for name in listed.stdout.splitlines():
        if not os.path.lexists(os.path.join(source, name)):
            continue
        os.makedirs(os.path.dirname(os.path.join(where, name)), exist_ok=True)
        shutil.copy2(os.path.join(source, name), os.path.join(where, name), follow_symlinks=False)


def main():
    source = os.environ["FH_SOURCE_DIR"]
    pages = [p for p in (sys.argv[1:] or PAGES)]
    where = tempfile.mkdtemp(prefix="foghorn-pages-")
    try:
        copy_tree(source, where)
        for page in pages:
            if not os.path.exists(os.path.join(where, page)):
                raise SystemExit(f"{page} does not exist")
        launcher = shutil.which("ccache")
        options = f"-DCMAKE_C_COMPILER_LAUNCHER={launcher}" if launcher else ""
        # The objects that tools/dev made are found again.
        os.environ.update(CCACHE_BASEDIR=where, CCACHE_NOHASHDIR="1", CCACHE_SLOPPINESS="locale")
        # What a reader has done before, by tools/dev: a first build.
        run(f"cmake --preset release -DFOGHORN_BENCH=OFF -DFOGHORN_STATIC=OFF '-DFOGHORN_TEST_PROGRAMS={PROGRAMS}' {options}\ncmake --build build/release", where)
        for page in pages:
            follow(page, where)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print("every step of every page did what the page says")


if __name__ == "__main__":
    main()
