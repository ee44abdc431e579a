#!/bin/sh
# devprobe under QEMU says that the processor is imitated; the same devprobe without QEMU does not.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=120 sanitize=no
set -eu

causes() { # devprobe
  "$1" --json 2>/dev/null | "$PYTHON" -c 'import json, sys
for f in json.load(sys.stdin)["findings"]: print(f["id"], f["confidence"])' || true
}
named() { # devprobe, where
  causes "$1" | grep -qx 'CPU-EMULATED proven' || { echo "FAILED: $2: CPU-EMULATED is not proven" && causes "$1" && exit 1; }
  [ -z "${FH_LIVE_CAUSES:-}" ] || echo CPU-EMULATED >>"$FH_LIVE_CAUSES"
}

if [ -n "${FH_EMULATED:-}" ]; then # a build for another processor: every program of it is imitated here
  named "$DEVPROBE" "a program for another processor"
  exit 0
fi
case $(uname -m) in x86_64) ;; *) echo "NOT RUN: this machine is not an x86-64" && exit 77 ;; esac
command -v qemu-x86_64 >/dev/null || { echo "NOT RUN: qemu-x86_64 is not installed (package qemu-user)" && exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexec qemu-x86_64 -cpu max "%s" "$@"\n' "$DEVPROBE" >"$work/devprobe"
chmod +x "$work/devprobe"
FOGHORN_PROBE="$work/devprobe" named "$work/devprobe" "the same processor, imitated"
if causes "$DEVPROBE" | grep -q CPU-EMULATED; then
  grep -q TCG /proc/cpuinfo || { echo "FAILED: CPU-EMULATED where nothing is" && exit 1; }
fi
