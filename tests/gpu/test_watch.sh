#!/bin/sh
# One variant that faults, crashes or hangs does not keep the GPU check from the others, nor one row the benchmark.
# SPDX-License-Identifier: Apache-2.0
# TEST: fakes=yes cross=no sanitize=no timeout=120
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
program=$FH_BINARY_DIR/tests/gpu/gpu_conformance
export FOGHORN_FAKE_CUDA=devices=2,memory=1GiB,capability=80 FOGHORN_CACHE_DIR="$work/cache"
fail() {
  echo "FAILED: $*"
  cat "$work/log"
  exit 1
}
# check STATUS SECONDS [FAULTS]: the variants of softmax on the first device, in processes that may be silent for so long
check() {
  export FOGHORN_FAKE_CUDA_FAULTS="${3:-}"
  timeout 100 "$program" cuda --fake --device cuda:0 --cases 1 --quick --apart "$2" softmax >"$work/log" 2>&1
  status=$?
  if grep -q 'no PTX' "$work/log"; then
    echo 'NOT RUN: this build has no PTX, so no kernel can run on the stand-in'
    exit 77
  fi
  [ $status -eq "$1" ] || fail "exit status $status, expected $1, with the faults \"${3:-}\""
}
results() { grep -c "^cuda:0 *softmax.* \($1\)" "$work/log"; }

check 0 60
variants=$(results pass)
[ "$variants" -ge 3 ] || fail "$variants variants passed, expected three and more"
! grep -q '^cuda:1' "$work/log" || fail 'the second device was checked as well'
[ -n "$(find "$work/cache" -type f)" ] || fail 'what the driver compiled is not kept'

# The launch that goes wrong is one of the second variant: those before and behind are right.
launches=$(sed -n 's/^cuda:0 *softmax *pass *\([0-9]*\) runs.*/\1/p' "$work/log")
at=$((launches + 3))
for fault in late:700 700 crash; do
  check 1 60 "cuLaunchKernel@$at=$fault"
  [ "$(results FAIL)" -eq 1 ] && [ "$(results pass)" -eq $((variants - 1)) ] || fail "one of $variants should fail by $fault"
  grep -q '^cuda:0 *softmax/.*FAIL' "$work/log" || fail "the variant that fails by $fault is not named"
done
check 1 4 "cuLaunchKernel@$at=hang"
[ "$(results pass)" -eq $((variants - 1)) ] || fail "one of $variants should hang"
grep -q '^cuda:0 *softmax/.* FAIL: no end within 4 s' "$work/log" || fail 'the variant that hangs is not named'

# A driver that does not start is no endless story.
check 1 60 'cuInit@1=crash'
check 77 60 'cuInit@1=NO_DEVICE'

# A text for blocks that only CUDA has is no failure of an OpenCL device.
timeout 100 "$program" opencl --cases 1 --quick csr_matvec >"$work/log" 2>&1
case $? in
0) grep -q '^opencl:[0-9]* *csr_matvec/rows NOT RUN: its text is for CUDA alone' "$work/log" || fail 'a text of CUDA alone is not named' ;;
77) grep -m1 "NOT RUN" "$work/log" ;;
*) fail 'csr_matvec is not right on OpenCL' ;;
esac

# A GPU that one process alone may use: drills of several are not run, and nothing fails.
unset FOGHORN_FAKE_CUDA_FAULTS
FOGHORN_FAKE_CUDA=devices=1,memory=1GiB,compute_mode=3 timeout 100 "$FH_BINARY_DIR/tests/gpu/gpu_drills" --fake >"$work/log" 2>&1
[ $? -eq 0 ] || fail 'a drill failed on a GPU for one process'
grep -q '^0 of 8 drills failed, 3 not run' "$work/log" || fail 'three drills should not be run on a GPU for one process'

[ -x "$FH_BINARY_DIR/bench/gpu/gpu_bench" ] || {
  echo 'NOT RUN: this build has no gpu_bench: FOGHORN_BENCH is OFF; what needs none of it passed'
  exit 77
}
# Every launch crashes: each row of the benchmark is there and says so.
FOGHORN_FAKE_CUDA_FAULTS='cuLaunchKernel@1=crash' timeout 100 "$FH_BINARY_DIR/bench/gpu/gpu_bench" measure --fake --out "$work/bench.json" \
  --seconds 1000 --case-seconds 0.02 >"$work/log" 2>&1
[ $? -eq 1 ] || fail 'gpu_bench passes although each launch crashed'
grep -q '^limits, launches and copies FAIL: its process ended by signal 11' "$work/log" || fail 'the part that crashed is not named'
rows=$(grep -c '"not_run": "its process crashed' "$work/bench.json")
told=$(grep -c '^[a-z_0-9]* [0-9].* FAIL: its process' "$work/log")
[ "$rows" -ge 30 ] && [ "$rows" -eq "$told" ] || fail "$rows rows say that they crashed, and $told are named"
echo ok
