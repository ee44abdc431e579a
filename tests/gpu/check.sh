#!/bin/sh
# Proves Foghorn on this machine's GPU: probes, runs every kernel's conformance on CUDA and on the vendor's OpenCL, the drills on
# the stand-in driver, and the vendor's memory checker where it is. Ends with a table. SPDX-License-Identifier: Apache-2.0
# usage: sh check.sh [--long]       in a folder made by bundle.sh
#   FOGHORN_GPU_CHECK_FAKE=1        uses the stand-in driver in the GPU's place: proves this script, and nothing of a GPU
# Exit status: 0 all that could run passed on a GPU, 1 something failed, 77 there is no usable GPU here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/bin logs=${FOGHORN_GPU_CHECK_LOGS:-$here/logs}
fake=${FOGHORN_GPU_CHECK_FAKE:-} long=
case ${1:-} in
'') ;;
--long) long=1 ;;
*)
  echo "usage: sh check.sh [--long]" >&2
  exit 2
  ;;
esac
[ -x "$bin/gpu_conformance" ] || {
  echo "check.sh: $bin has no gpu_conformance: make this folder with tests/gpu/bundle.sh" >&2
  exit 2
}
mkdir -p "$logs" || exit 2
rm -f "$logs"/*.log

LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
export FOGHORN_PROBE="$bin/devprobe" FOGHORN_CACHE_DIR="$logs/cache" FOGHORN_TEST_FAKES="$here/fakes"
real_path=$LD_LIBRARY_PATH fake_option='' title=
if [ -n "$fake" ]; then
  LD_LIBRARY_PATH=$here/fakes:$LD_LIBRARY_PATH
  fake_option=--fake title='FAKE: the stand-in driver, no GPU was tested. '
fi
verify_fake=${fake:+--allow-fake}
cases=$([ -n "$long" ] && echo 0 || echo 12)

passed=0 failed=0 skipped=0 table=$logs/table
: >"$table"

# record NAME RESULT SECONDS NOTE
record() {
  printf '%-34s %-8s %6s s  %s\n' "$1" "$2" "$3" "$4" >>"$table"
  case $2 in
  pass) passed=$((passed + 1)) ;;
  FAIL) failed=$((failed + 1)) ;;
  *) skipped=$((skipped + 1)) ;;
  esac
}

# The line that tells most: why it was not run, what failed, or the last one.
note_of() {
  { grep -m1 -E 'NOT RUN|FAIL|ERROR' "$1" || tail -n 1 "$1"; } | cut -c1-110
}

# step NAME LIMIT COMMAND...: one line in the table; the whole output in a log
step() {
  name=$1 limit=$2
  shift 2
  log=$logs/$(echo "$name" | tr -c 'a-zA-Z0-9\n' '-').log
  echo "... $name"
  start=$(date +%s)
  if [ "$limit" = - ]; then # a function of this script
    "$@" >"$log" 2>&1 </dev/null
  else
    timeout "$limit" "$@" >"$log" 2>&1 </dev/null
  fi
  status=$?
  seconds=$(($(date +%s) - start))
  case $status in
  0) record "$name" pass $seconds "$(tail -n 1 "$log" | cut -c1-110)" ;;
  77) record "$name" 'not run' $seconds "$(note_of "$log")" ;;
  124) record "$name" FAIL $seconds "not done after $limit s" ;;
  *) record "$name" FAIL $seconds "exit status $status: $(note_of "$log")" ;;
  esac
  return $status
}

json_is_valid() {
  timeout 120 "$bin/devprobe" --json >"$logs/devprobe.json" || [ $? -eq 1 ] || return 1
  if command -v python3 >/dev/null; then
    python3 -m json.tool "$logs/devprobe.json" >/dev/null && echo "valid, $(wc -c <"$logs/devprobe.json") bytes"
  elif command -v jq >/dev/null; then
    jq -e .schema "$logs/devprobe.json"
  else
    grep -q '"schema": *"foghorn.devprobe/1"' "$logs/devprobe.json" && echo "schema named; neither python3 nor jq to parse it"
  fi
}

# Devices of a backend, "cuda:0 cuda:1"; empty without any.
devices_of() { "$bin/gpu_conformance" "$@" --list 2>/dev/null | sed -n 's/^\([a-z]*:[0-9]*\) .*/\1/p'; }

echo "${title}Foghorn GPU check on $(uname -n), $(date -u +%Y-%m-%dT%H:%MZ)"
echo "needs $(cat "$here/glibc" 2>/dev/null || echo '?'); here: $(ldd --version 2>/dev/null | head -n 1)"
"$bin/gpu_conformance" >/dev/null 2>&1
[ $? -eq 2 ] || { # its usage message: it could be loaded
  echo "check.sh: the programs cannot be started here:" >&2
  "$bin/gpu_conformance"
  exit 1
}

cuda=$(devices_of cuda --gpus $fake_option)
opencl=$(devices_of opencl --gpus)
"$bin/gpu_conformance" cuda --list --gpus $fake_option | tee "$logs/devices"
"$bin/gpu_conformance" opencl --list --gpus | tee -a "$logs/devices"

if [ -x "$bin/devprobe" ]; then
  # 1 says that something expected is unusable: a finding, and the report has been made.
  step 'devprobe' 120 sh -c '"$0"; status=$?; [ $status -le 1 ] || exit $status' "$bin/devprobe"
  cat "$logs/devprobe.log"
  step 'devprobe --json' - json_is_valid
else
  record 'devprobe' 'not run' 0 'not in this bundle'
fi

# Every kernel straight through the backend's table, then as a user would, through the planner.
if [ -n "$cuda" ]; then
  step 'kernels on CUDA' 1800 "$bin/gpu_conformance" cuda --gpus $fake_option --cases "$cases"
else
  record 'kernels on CUDA' 'not run' 0 "$("$bin/gpu_conformance" cuda --list $fake_option | grep -m1 'NOT RUN' | cut -c1-110)"
fi
if [ -n "$opencl" ]; then
  step "kernels on the vendor's OpenCL" 1800 "$bin/gpu_conformance" opencl --gpus --cases "$cases"
else
  record "kernels on the vendor's OpenCL" 'not run' 0 "$("$bin/gpu_conformance" opencl --list --gpus | grep -m1 'NOT RUN' | cut -c1-110)"
fi
if [ -x "$bin/devprobe" ]; then
  for device in $cuda $opencl; do
    step "devprobe verify --device $device" 1800 "$bin/devprobe" verify --device "$device" $verify_fake ${long:+--long}
  done
fi

# The drills are about faults, not about this GPU; they show that the carried programs work here.
for drill in stand_in faults ''; do
  program=$bin/test_backend_cuda${drill:+_$drill}
  if [ -x "$program" ]; then
    LD_LIBRARY_PATH=$real_path step "drills (stand-in): ${drill:-backend}" 300 "$program"
  else
    record "drills (stand-in): ${drill:-backend}" 'not run' 0 'not in this bundle'
  fi
done

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
if [ -z "$cuda" ] || [ -n "$fake" ]; then
  record 'compute-sanitizer' 'not run' 0 'no GPU to watch'
elif [ -z "$sanitizer" ]; then
  record 'compute-sanitizer' 'not run' 0 'not installed (it comes with the CUDA toolkit)'
else
  for tool in memcheck racecheck; do
    step "compute-sanitizer $tool" 900 "$sanitizer" --tool $tool --error-exitcode 1 "$bin/gpu_conformance" cuda --cases 1
  done
fi

echo
echo "${title}Result"
cat "$logs/devices" "$table"
echo "${title}$passed passed, $failed failed, $skipped not run   (logs: $logs)"
[ $failed -eq 0 ] || exit 1
if [ -z "$cuda$opencl" ]; then
  echo 'NOT RUN: there is no usable GPU on this machine'
  exit 77
fi
exit 0
