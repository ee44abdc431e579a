#!/bin/sh
# The GPU check itself, proven with the stand-in driver; and without a GPU it must say so and not pass.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=600 sanitize=no cross=no
set -u
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
fail() {
  echo "FAILED: $*"
  cat "$out/log" 2>/dev/null
  exit 1
}
sh "$FH_SOURCE_DIR/tests/gpu/bundle.sh" "$FH_BINARY_DIR" "$out/bundle" >"$out/log" 2>&1 || fail 'bundle.sh'
[ -s "$out/bundle/lib/libjansson.so.4" ] || fail 'the bundle lacks a library that the programs need'
[ ! -e "$out/bundle/lib/libc.so.6" ] || fail 'the bundle carries a C library'

FOGHORN_GPU_CHECK_FAKE=1 sh "$out/bundle/check.sh" >"$out/log" 2>&1
status=$?
if grep -q 'has no PTX' "$out/log"; then
  echo 'NOT RUN: this build has no PTX, so no kernel can run on the stand-in'
  exit 77
fi
[ $status -eq 0 ] || fail "check.sh with the stand-in: exit status $status"
grep -q '^FAKE: .*0 failed' "$out/log" || fail 'the summary does not say that it is FAKE'
grep -q '^kernels on CUDA *pass' "$out/log" || fail 'the kernels did not pass on the stand-in'
tail -n 20 "$out/log"

# A driver that fails must be seen: one kernel's launch, by the fault script.
FOGHORN_GPU_CHECK_FAKE=1 FOGHORN_FAKE_CUDA_FAULTS='cuLaunchKernel@40=719' sh "$out/bundle/check.sh" >"$out/log" 2>&1
[ $? -eq 1 ] || fail 'check.sh passed although a launch failed'
grep -q '^kernels on CUDA *FAIL' "$out/log" || fail 'the table does not show the failed launch'

# No GPU: said, and no pass.
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
  sh "$out/bundle/check.sh" >"$out/log" 2>&1
  [ $? -eq 77 ] || fail 'check.sh did not end with 77 without a GPU'
  grep -q '^NOT RUN: there is no usable GPU' "$out/log" || fail 'it does not say that there is no GPU'
fi
echo ok
