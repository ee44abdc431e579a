#!/bin/sh
# The tuned kernels on AArch64 processors with and without the extensions that some of them need: right results, no illegal instruction,
# and the missing extension named as the reason. SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=120 sanitize=no
set -eu
[ -n "${DEVPROBE:-}" ] || { echo "NOT RUN: devprobe is not part of this build"; exit 77; }
machine=$(od -An -tu1 -j18 -N1 "$FH_BINARY_DIR/devprobe" | tr -d ' ') # of the file's header
if [ "$machine" != 183 ] || [ -z "${FH_EMULATED:-}" ]; then
  echo "NOT RUN: this is not a build for AArch64 under an emulator"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $cpu: $*" && exit 1; }
passes() { grep -Eq "^pass +$1 +cpu/neon/$2 +[1-9][0-9]* calls$" "$work/out" || fail "$1 did not pass as $2"; }
lacks() { # kernel, variant, extension; a long line goes on in the next
  tr -s '\n ' ' ' <"$work/out" | grep -q "NOT RUN $1 cpu/neon/$2 this machine cannot run $3 " || fail "$1 as $2 is not refused for want of $3"
}

for cpu in cortex-a57 neoverse-n1 max; do # none, dot products of bytes alone, all
  echo "-- $cpu"
  QEMU_CPU=$cpu "$DEVPROBE" verify --device cpu --cases 10 matmul_i8 matmul_bf16 matmul_fused >"$work/out" 2>&1 || { cat "$work/out"; fail "exit status"; }
  cat "$work/out"
  passes matmul_fused tuned
  passes matmul_i8 tuned
  passes matmul_bf16 tuned
  case $cpu in
    cortex-a57) lacks matmul_i8 dotprod asimddp && lacks matmul_i8 i8mm i8mm && lacks matmul_bf16 bf16 bf16 ;;
    neoverse-n1) passes matmul_i8 dotprod && lacks matmul_i8 i8mm i8mm && lacks matmul_bf16 bf16 bf16 ;;
    max) passes matmul_i8 dotprod && passes matmul_i8 i8mm && passes matmul_bf16 bf16 ;;
  esac
done
