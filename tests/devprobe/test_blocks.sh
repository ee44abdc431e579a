#!/bin/sh
# devprobe and variants for blocks of threads, on the stand-in CUDA driver: named, verified, explained. SPDX-License-Identifier: Apache-2.0
# TEST: fakes=yes cross=no sanitize=address timeout=120
set -eu
. "$FH_SOURCE_DIR/tests/devprobe/cli.sh"

run 0 kernels matmul
says out "exact: cuda/tiles, for compute capability 6.0 and later, and OpenCL"
says out "exact: cuda/stages, for compute capability 8.0 and later"
run 0 kernels csr_matvec # whose text for blocks only CUDA has
says out "exact: cuda/rows, for compute capability 6.0 and later"
! grep -q 'later, and OpenCL' "$work/out" || fail "OpenCL is said to have csr_matvec's text for blocks: $(cat "$work/out")"
run 0 kernels matmul
if grep -q 'not for CUDA' "$work/out"; then
  echo "NOT RUN: all but their names: this build has no PTX"
  exit "$((failures > 0))"
fi

export FOGHORN_FAKE_CUDA=devices=1,memory=1GiB,capability=75 FOGHORN_CACHE_DIR=
run 0 verify --allow-fake --device cuda:0 --cases 3 matmul
grep -Eq '^pass +matmul +cuda:0/tiles +[1-9][0-9]* calls' "$work/out" || fail "cuda:0/tiles is not verified: $(cat "$work/out")"
grep -Eq '^pass +matmul +cuda:0 +[1-9][0-9]* calls' "$work/out" || fail "cuda:0 is not verified: $(cat "$work/out")"
grep -Eq '^NOT RUN +matmul +cuda:0/stages +needs compute capability' "$work/out" || fail "cuda:0/stages is not excused: $(cat "$work/out")"

run 0 explain matmul 1024x1024x1024 --allow-fake --device cuda:0
says out "-> cuda:0/tiles"
says out "needs compute capability 8.0, this is 7.5"

# A vendor's library is one more candidate, where there is one that goes with the driver.
stand_ins=${LD_LIBRARY_PATH%%:*}
export FOGHORN_FAKE_CUDA=devices=1,memory=1GiB,capability=75,version=11080
run 0 verify --allow-fake --device cuda:0 --cases 3 matmul
grep -Eq '^NOT RUN +matmul +cuda:0/cublaslt +libcublasLt.so is' "$work/out" || fail "cuda:0/cublaslt is not excused: $(cat "$work/out")"
export FOGHORN_FAKE_CUDA=devices=1,memory=1GiB,capability=75,version=12040
LD_LIBRARY_PATH=$stand_ins/cublaslt:$LD_LIBRARY_PATH
run 0 verify --allow-fake --device cuda:0 --cases 3 matmul
grep -Eq '^pass +matmul +cuda:0/cublaslt +[1-9][0-9]* calls' "$work/out" || fail "cuda:0/cublaslt is not verified: $(cat "$work/out")"
run 0 explain matmul 1024x1024x1024 --allow-fake --device cuda:0
says out "-> cuda:0/tiles"

# One that is new enough takes the variant for it.
export FOGHORN_FAKE_CUDA=devices=1,memory=1GiB,capability=80
run 0 explain matmul 4096x4096x4096 --allow-fake --device cuda:0
says out "-> cuda:0/stages"

exit "$((failures > 0))"
