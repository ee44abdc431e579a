#!/bin/sh
# Every CPU kernel on an x86-64 of 2008, without AVX: right results, and no illegal instruction anywhere on the way.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=600 plain=yes
set -eu

case $(uname -m) in x86_64) ;; *) echo "NOT RUN: this machine is not an x86-64" && exit 77 ;; esac
command -v qemu-x86_64 >/dev/null || { echo "NOT RUN: qemu-x86_64 is not installed (package qemu-user)" && exit 77; }

# Its child processes need the emulator too: without this they would ask this machine's own CPU.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec qemu-x86_64 -cpu Nehalem "%s" "$@"\n' "$DEVPROBE" >"$work/devprobe"
chmod +x "$work/devprobe"
export FOGHORN_PROBE="$work/devprobe"

status=0
# The small cases reach every path of a text; all of them would take an hour here. This machine runs them all (conformance/).
"$work/devprobe" verify --device cpu --cases 8 >"$work/verify" 2>&1 || status=$?
cat "$work/verify"
[ $status = 0 ] || { echo "FAILED: exit status $status" && exit 1; }
grep -q 'sse4' "$work/verify" || { echo "FAILED: SSE4.2 was not tried" && exit 1; }

# The best that is usable here is SSE4.2, and the report says so.
best=$("$work/devprobe" --json 2>/dev/null | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["cpu"]["isa"])') || true
[ "$best" = sse42 ] || { echo "FAILED: the best instruction set is said to be \"$best\" instead of sse42" && exit 1; }
