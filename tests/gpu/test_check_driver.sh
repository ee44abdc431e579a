#!/bin/sh
# A machine whose driver crashes is not taken for one without a GPU. Scripts stand for the programs of the check.
# SPDX-License-Identifier: Apache-2.0
# TEST: plain=yes timeout=60
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*"
  cat "$work/log"
  exit 1
}
# program NAME LINE...: a script in its place
program() {
  name=$1
  shift
  printf '%s\n' '#!/bin/sh' "$@" >"$work/bin/$name"
  chmod +x "$work/bin/$name"
}
# check STATUS ENDS: the status of the check where the program that lists the devices of CUDA ends so
check() {
  # shellcheck disable=SC2016
  program gpu_conformance '[ $# -gt 0 ] || exit 2' "[ \$1 = opencl ] || $2" 'echo "NOT RUN: $1: none"; exit 77'
  FOGHORN_GPU_CHECK_PYTHON='' timeout 50 sh "$work/check.sh" >"$work/log" 2>&1
  status=$?
  [ $status -eq "$1" ] || fail "exit status $status, expected $1, where the program ends by \"$2\""
}

mkdir "$work/bin" && cp "$FH_SOURCE_DIR/tests/gpu/check.sh" "$work/" || exit 1
program devprobe 'echo "{\"schema\": \"foghorn.devprobe/1\"}"'
program gpu_bench 'exit 0'

check 77 'true'
grep -q '^NOT RUN: there is no usable GPU' "$work/log" || fail 'it does not say that there is no GPU'
# shellcheck disable=SC2016
check 1 'kill -SEGV $$'
grep -q '^devices of cuda *FAIL .*exit status 139' "$work/log" || fail 'the table does not show the crash'
check 1 'exit 124' # as timeout does
grep -q '^devices of cuda *FAIL .*the driver does not come back' "$work/log" || fail 'the table does not show the driver that hangs'
echo ok
