#!/bin/sh
# devprobe: help, versions, exit statuses, unknown words, closed outputs. SPDX-License-Identifier: Apache-2.0
# shellcheck source=tests/devprobe/cli.sh
. "$(dirname "$0")/cli.sh"
commands='report require cause kernels explain verify bench run matrix snapshot trace'

run 0 --help
fits help
for command in $commands; do
  says out "  $command"
done
run 0 --version
version=$(cat "$work/out")
case $version in 'devprobe '[0-9]*) ;; *) fail "version is '$version'" ;; esac
for command in $commands; do
  run 0 "$command" --help
  says out "usage: devprobe $command"
  says out "--version"
  fits "$command --help"
  silent err
  cp "$work/out" "$work/help"
  run 0 help "$command"
  cmp -s "$work/out" "$work/help" || fail "help $command differs from $command --help"
  run 0 "$command" --version
  [ "$(cat "$work/out")" = "$version" ] || fail "$command --version differs"
  run 2 "$command" --no-such-option
  says err "--no-such-option: no such option"
  says err "devprobe $command --help"
  silent out
  run 2 "$command" -Z
  says err "-Z: no such option"
done

run 2 reprot
says err 'did you mean report'
run 2 frobnicate
says err 'report require cause'
run 2 --from
says err 'an argument is missing'
run 2 verify --device cpu,cuda:0,opencl:0,cpu,cpu # not cut to the length of a name
says err '--device cpu,cuda:0,opencl:0,cpu,cpu: expected one device'
run 2 --json=yes
says err 'takes no argument'
run 2 report extra
says err "'extra' is one word too many"
run 2 --timeout 0
says err 'expected seconds'
run 2 --timeout nonsense
run 2 --color sometimes
says err 'auto, always or never'
run 2 --from /nonexistent/machine
says err '/nonexistent/machine'
run 2 require
says err 'SPEC'
run 2 require gpu --
says err 'a command is missing after --'
run 2 report -- ls
says err "'--' has no meaning here"
run 2 cause a b
run 2 matrix a
run 2 --expect 'gpu>>2'
FOGHORN_LOG=loud run 2 cause
says err FOGHORN_LOG

# The catalogue.
run 0 cause
fits cause
says out CR-NO-GPU-REQUESTED
ids=$(awk '/^[A-Z]+-[A-Z0-9-]+ /{print $1}' "$work/out")
[ "$(printf '%s\n' "$ids" | wc -l)" -ge 32 ] || fail "fewer than 32 causes: $ids"
for id in $ids; do
  run 0 cause "$id"
  fits "cause $id"
  says out "$id:"
  says out meaning
  says out fix
done
run 0 cause cr-no-gpu-requested
run 2 cause CR-NO-GPU-REQUESTD
says err 'did you mean CR-NO-GPU-REQUESTED'
run 0 kernels
fits kernels
says out 'matmul'
for kernel in $("$DEVPROBE" kernels --json | "$PYTHON" -c 'import json, sys; print(*[k["name"] for k in json.load(sys.stdin)["kernels"]])'); do
  run 0 kernels "$kernel"
  fits "kernels $kernel"
  says out 'numerics'
done
run 2 kernels matmol
says err 'did you mean matmul'
run 2 cause nonsense-that-is-nothing
silent out

# A reader that goes away is no failure; an output that cannot be written is one.
"$DEVPROBE" cause 2>"$work/err" | head -n 1 >/dev/null
silent err
( trap '' PIPE; "$DEVPROBE" cause 2>"$work/err"; echo $? >"$work/status" ) | :
[ "$(cat "$work/status")" = 0 ] || fail "closed pipe: exit status $(cat "$work/status")"
"$DEVPROBE" cause >&- 2>"$work/err"
[ $? -eq 3 ] || fail 'closed stdout is not noticed'
says err 'standard output cannot be written'
if [ -w /dev/full ]; then
  "$DEVPROBE" cause >/dev/full 2>"$work/err"
  [ $? -eq 3 ] || fail 'a full disk is not noticed'
fi
"$DEVPROBE" cause <&- 2>&- >"$work/out" || fail 'closed stdin and stderr'
finish
