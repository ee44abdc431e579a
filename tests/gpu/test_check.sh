#!/bin/sh
# The GPU check itself, proven with the stand-in driver; and without a GPU it must say so and not pass.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=1500 sanitize=no cross=no
set -u
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
fail() {
  echo "FAILED: $*"
  cat "$out/log" 2>/dev/null
  exit 1
}
# check SECONDS [NAME=VALUE...]: runs it with that much time; its status in $status
check() {
  seconds=$1
  shift
  env FOGHORN_GPU_CHECK_SECONDS="$seconds" FOGHORN_GPU_CHECK_PYTHON="${PYTHON:-python3}" "$@" sh "$out/bundle/check.sh" >"$out/log" 2>&1
  status=$?
}
sh "$FH_SOURCE_DIR/tests/gpu/bundle.sh" "$FH_BINARY_DIR" "$out/bundle" >"$out/log" 2>&1 || fail 'bundle.sh'
[ -s "$out/bundle/lib/libjansson.so.4" ] || fail 'the bundle lacks a library that the programs need'
[ ! -e "$out/bundle/lib/libc.so.6" ] || fail 'the bundle carries a C library'

# Every kernel and every variant goes once through the stand-in driver, in few cases and layouts; unit/test_blocks_* hold each to all of
# them on the emulator alone. The step through the planner is shown with a text for threads and one for blocks.
export FOGHORN_GPU_CHECK_CASES=2 FOGHORN_GPU_CHECK_SAMPLE='axpy softmax'
check 600 FOGHORN_GPU_CHECK_FAKE=1
if grep -q 'has no PTX' "$out/log"; then
  echo 'NOT RUN: this build has no PTX, so no kernel can run on the stand-in'
  exit 77
fi
[ $status -eq 0 ] || fail "check.sh with the stand-in: exit status $status"
grep -q '^FAKE: .*0 failed, 0 cut' "$out/log" || fail 'the summary does not say that it is FAKE'
for name in 'kernels on CUDA' 'confirmations' 'drills (this GPU)' 'bench'; do
  grep -q "^$name *pass" "$out/log" || fail "$name did not pass on the stand-in"
done
grep -q '^FAKE, no GPU was measured: .*/results/FAKE-.*\.json$' "$out/log" || fail 'the result is not named FAKE'
[ -z "$(find "$out/bundle/results" -type f ! -name 'FAKE-*')" ] || fail 'a file beside the FAKE ones could be taken for a result'
"${PYTHON:-python3}" - "$FH_SOURCE_DIR/docs/gpu-check.schema.json" "$out"/bundle/results/FAKE-*.json <<'END' || fail 'the JSON'
import json, sys
schema, document = (json.load(open(name)) for name in sys.argv[1:])
assert document["fake"] is True and len(document["rows"]) > 20 and len(document["targets"]) > 8, document
try:
    import jsonschema
    jsonschema.Draft7Validator(schema).validate(document)
except ImportError:
    print("NOT RUN: the schema of the result: jsonschema is not installed")
END
tail -n 30 "$out/log"

# A driver that fails must be seen: one kernel's launch, by the fault script. The time is enough for that step alone.
check 60 FOGHORN_GPU_CHECK_FAKE=1 FOGHORN_FAKE_CUDA_FAULTS='cuLaunchKernel@40=719'
[ $status -eq 1 ] || fail 'check.sh passed although a launch failed'
grep -q '^kernels on CUDA *FAIL' "$out/log" || fail 'the table does not show the failed launch'

# One that hangs does not hold the check up: the step is cut, what is left is named, and the end comes in time.
begin=$(date +%s)
check 20 FOGHORN_GPU_CHECK_FAKE=1 FOGHORN_FAKE_CUDA_FAULTS='cuLaunchKernel@40=hang'
took=$(($(date +%s) - begin))
[ $status -eq 1 ] || fail 'check.sh passed although a step was cut'
grep -q '^kernels on CUDA *cut .*the 20 s of this check were used up' "$out/log" || fail 'the hanging step was not cut'
grep -q '^CUT: bench$' "$out/log" || fail 'what was not begun is not named'
[ $took -lt 120 ] || fail "it took $took s with a limit of 20"

# No GPU: said, and no pass.
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
  check 300
  [ $status -eq 77 ] || fail "check.sh ended with $status and not with 77 without a GPU"
  grep -q '^NOT RUN: there is no usable GPU' "$out/log" || fail 'it does not say that there is no GPU'
  grep -q 'no device, so no result is written' "$out/log" || fail 'a result was written without a device'
fi
echo ok
