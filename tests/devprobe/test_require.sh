#!/bin/sh
# devprobe require: conditions, and the command that runs when they are met. SPDX-License-Identifier: Apache-2.0
# shellcheck source=tests/devprobe/cli.sh
. "$(dirname "$0")/cli.sh"
healthy=$machines/docker-gpu
broken=$machines/cr-no-gpu-requested

run 0 require --from "$healthy" gpu 'cuda>=1' 'cpus>=1,memory>=1MiB'
says out 'met       gpu'
says out 'memory>=1MiB'
run 1 require --from "$broken" gpu 'cpus>=1'
says out 'unmet     gpu'
says out 'met       cpus>=1'
says out CR-NO-GPU-REQUESTED
says out fix
silent err
fits require
run 1 require -q --from "$broken" gpu
silent out
silent err
run 2 require --from "$healthy" 'gpus>=1'
run 2 require --from "$healthy" 'memory>=lots'
run 2 require --from "$healthy" ''

# Met: the command takes devprobe's place, with its words, its output and its status.
run 0 require 'cpus>=1' -- printf '%s|' one 'two three' --help
[ "$(cat "$work/out")" = 'one|two three|--help|' ] || fail "the command got: $(cat "$work/out")"
run 37 require 'cpus>=1' -- sh -c 'exit 37'
run 141 require 'cpus>=1' -- sh -c 'kill -PIPE $$; echo survived' # devprobe's own ignored SIGPIPE is not handed on
silent out
run 127 require 'cpus>=1' -- /nonexistent/program
says err '/nonexistent/program'
run 126 require 'cpus>=1' -- /etc/passwd

# Unmet: it does not run, and stdout stays the command's.
run 1 require --from "$broken" gpu -- touch "$work/ran"
[ ! -e "$work/ran" ] || fail 'the command ran although a condition is not met'
silent out
says err 'unmet     gpu'
run 2 require --json 'cpus>=1' -- true
says err 'exclude each other'
finish
