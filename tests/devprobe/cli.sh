#!/bin/sh
# Shared by the devprobe tests: run a command, compare its exit status and what it printed. SPDX-License-Identifier: Apache-2.0
set -u
: "${DEVPROBE:?path of the devprobe to test}" "${FH_SOURCE_DIR:?path of the source tree}"
work=$(mktemp -d "${TMPDIR:-/tmp}/devprobe.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2034 # used by the tests that read this file
machines=$FH_SOURCE_DIR/tests/machines
failures=0

fail() {
  failures=$((failures + 1))
  printf 'FAILED: %s\n' "$*"
}

# run STATUS ARGS...: devprobe must end with STATUS; its output is in $work/out and $work/err.
run() {
  expected=$1
  shift
  "$DEVPROBE" "$@" >"$work/out" 2>"$work/err" </dev/null
  status=$?
  [ "$status" -eq "$expected" ] && return 0
  fail "devprobe $*: exit status $status, expected $expected"
  sed 's/^/  out: /' "$work/out" | head -n 20
  sed 's/^/  err: /' "$work/err" | head -n 20
}

# says FILE TEXT: the last run printed TEXT to out or err.
says() {
  grep -qF -- "$2" "$work/$1" && return 0
  fail "std$1 lacks '$2':"
  sed 's/^/  /' "$work/$1" | head -n 20
}

silent() {
  [ -s "$work/$1" ] || return 0
  fail "std$1 is not empty:"
  sed 's/^/  /' "$work/$1" | head -n 20
}

# fits: no line of stdout is wider than a screen, and nothing in it moves a terminal.
fits() {
  wide=$(LC_ALL=C.UTF-8 awk 'length($0) > 80' "$work/out" | head -n 3)
  [ -z "$wide" ] || fail "$1: lines wider than 80 columns: $wide"
  if LC_ALL=C tr -d '\n\40-\176\200-\377' <"$work/out" | grep -q .; then fail "$1: control characters in the output"; fi
}

finish() {
  [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
  exit 0
}
