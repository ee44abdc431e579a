# On a terminal devprobe colours its screen; in a pipe, with NO_COLOR or on a dumb terminal it does not.
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import pty
import subprocess
import sys

machine = str(pathlib.Path(os.environ["FH_SOURCE_DIR"]) / "tests/machines/cr-no-gpu-requested")
command = [os.environ["DEVPROBE"], "--from", machine]


def on_terminal(**changes):
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | changes
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        output += part
    child.wait()
    os.close(ours)
    return output


plain = subprocess.run(command, capture_output=True).stdout
assert b"\033" not in plain and plain
assert b"\033[1;31m" in on_terminal()
for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
    assert b"\033" not in on_terminal(**changes), changes
sys.exit(0)
