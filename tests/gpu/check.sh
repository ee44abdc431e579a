#!/bin/sh
# Proves and measures Foghorn on this machine's GPU: probes, runs every kernel's conformance on CUDA and on the vendor's OpenCL, asks the
# driver what devprobe's causes rely on, drills faults, measures against the GPU's limits and other libraries, and runs the vendor's memory
# checker where it is. Ends with a table and one JSON file (docs/gpu-check.md). SPDX-License-Identifier: Apache-2.0
# usage: sh check.sh [--long]       in a folder made by bundle.sh
#   FOGHORN_GPU_CHECK_SECONDS=520   all of it takes no longer; what is cut is named. --long: three hours, and every case
#   FOGHORN_GPU_CHECK_CASES=12      cases of each kernel, straight through the backends; a third of them through the planner
#   FOGHORN_GPU_CHECK_LOGS, FOGHORN_GPU_CHECK_RESULTS   where logs and the result go: logs/ and results/ beside this file
#   FOGHORN_GPU_CHECK_PYTHON=python3   the Python that has PyTorch, CuPy or Triton
#   FOGHORN_GPU_CHECK_FAKE=1        uses the stand-in driver in the GPU's place: proves this script, and nothing of a GPU
#   FOGHORN_GPU_CHECK_SAMPLE='axpy matmul'   with the stand-in: verify tries these kernels alone, and the step before it fewer layouts
# Of several GPUs the first is checked; with --long all of them.
# Exit status: 0 all that could run passed on a GPU, 1 something failed or was cut, 77 there is no usable GPU here.
set -u
begin=$(date +%s)
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/bin logs=${FOGHORN_GPU_CHECK_LOGS:-$here/logs} results=${FOGHORN_GPU_CHECK_RESULTS:-$here/results}
fake=${FOGHORN_GPU_CHECK_FAKE:-} budget=${FOGHORN_GPU_CHECK_SECONDS:-520} cases=${FOGHORN_GPU_CHECK_CASES:-12}
bench_seconds=85 times=1 long=
case ${1:-} in
'') ;;
--long) budget=${FOGHORN_GPU_CHECK_SECONDS:-10800} cases=0 bench_seconds=900 times=20 long=yes ;;
*)
  echo "usage: sh check.sh [--long]" >&2
  exit 2
  ;;
esac
case $budget in
'' | *[!0-9]*)
  echo "check.sh: FOGHORN_GPU_CHECK_SECONDS is \"$budget\", expected a number of seconds" >&2
  exit 2
  ;;
esac
[ -e "$bin/gpu_conformance" ] || {
  echo "check.sh: $bin has no gpu_conformance: make this folder with tests/gpu/bundle.sh" >&2
  exit 2
}
[ -x "$bin/gpu_conformance" ] || chmod +x "$bin"/* || { # some uploads drop that bit
  echo "check.sh: the programs in $bin may not be started: make them executable, or copy the folder to where they may be" >&2
  exit 2
}
mkdir -p "$logs" || {
  echo "check.sh: $logs cannot be written: FOGHORN_GPU_CHECK_LOGS and FOGHORN_GPU_CHECK_RESULTS name other folders" >&2
  exit 2
}
rm -f "$logs"/*.log "$logs"/*.json "$logs"/*.status "$logs/devices" "$logs/steps" "$logs/asides"

plain_path=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
export FOGHORN_PROBE="$bin/devprobe" FOGHORN_CACHE_DIR="$logs/cache" FOGHORN_TEST_FAKES="$here/fakes"
real_path=$LD_LIBRARY_PATH fake_option='' sample='' title=
if [ -n "$fake" ]; then
  plain_path=$here/fakes${plain_path:+:$plain_path}
  LD_LIBRARY_PATH=$here/fakes:$LD_LIBRARY_PATH
  fake_option=--fake sample=${FOGHORN_GPU_CHECK_SAMPLE:-} title='FAKE: the stand-in driver, no GPU was tested. '
fi

# ---- steps ---------------------------------------------------------------------------------------------------------------------

passed=0 failed=0 skipped=0 cut=0 table=$logs/table tab=$(printf '\t')
: >"$table"
: >"$logs/steps"

# record NAME RESULT SECONDS NOTE
record() {
  printf '%-34s %-8s %6s s  %s\n' "$1" "$2" "$3" "$4" >>"$table"
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(printf '%s' "$4" | tr '\t' ' ')" >>"$logs/steps"
  case $2 in
  pass) passed=$((passed + 1)) ;;
  FAIL) failed=$((failed + 1)) ;;
  cut) cut=$((cut + 1)) ;;
  *) skipped=$((skipped + 1)) ;;
  esac
}

# The line that tells most: why it was not run, what failed, or the last one.
note_of() {
  { grep -m1 -E '^NOT RUN|FAIL|ERROR|WRONG' "$1" || tail -n 1 "$1"; } | cut -c1-110
}

# Seconds that are left for steps; the report takes a few.
left() { echo $((begin + budget - 8 - $(date +%s))); }

log_of() { echo "$logs/$(echo "$1" | tr -c 'a-zA-Z0-9\n' '-').log"; }

# Sets $limit: the step's own $1, or what is left of the check where that is less: then $own is empty. False: the time is used up.
limit_to() {
  limit=$(($1 * times)) own=1 left=$(left)
  [ "$left" -ge 3 ] || return 1
  [ "$limit" -le "$left" ] || limit=$left own=
}

# judge NAME STATUS SECONDS: a line in the table. What is stopped or not begun because the check's time is used up is cut, which is neither
# passed nor failed.
judge() {
  log=$(log_of "$1")
  case $2 in
  0) record "$1" pass "$3" "$(tail -n 1 "$log" | cut -c1-110)" ;;
  77) record "$1" 'not run' "$3" "$(note_of "$log")" ;;
  124 | 137)
    if [ -n "$own" ]; then
      record "$1" FAIL "$3" "not done after $limit s: $(note_of "$log")"
    else
      record "$1" cut "$3" "stopped after $limit s: the $budget s of this check were used up"
    fi
    ;;
  *) record "$1" FAIL "$3" "exit status $2: $(note_of "$log")" ;;
  esac
}

# step NAME LIMIT COMMAND...: the whole output in a log.
step() {
  name=$1
  if ! limit_to "$2"; then
    record "$name" cut 0 "not begun: the $budget s of this check were used up"
    return 1
  fi
  shift 2
  echo "... $name"
  start=$(date +%s)
  timeout -k 5 "$limit" "$@" >"$(log_of "$name")" 2>&1 </dev/null
  status=$?
  judge "$name" $status $(($(date +%s) - start))
  return $status
}

# aside NAME LIMIT COMMAND...: a step that needs no GPU, beside others until end_asides.
aside() {
  name=$1
  limit_to "$2" || limit=1 own=
  shift 2
  echo "... $name, beside"
  log=$(log_of "$name")
  printf '%s\n' "$name" >>"$logs/asides"
  (
    start=$(date +%s)
    timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
    echo "$? $(($(date +%s) - start)) $limit $own" >"$log.status"
  ) &
}

end_asides() {
  wait
  [ -e "$logs/asides" ] || return 0
  while IFS= read -r name; do
    status='' seconds=''
    read -r status seconds limit own <"$(log_of "$name").status"
    judge "$name" "$status" "$seconds"
  done <"$logs/asides"
  rm -f "$logs/asides"
}

# list BACKEND [OPTION]...: its devices on the screen and in the table's head. A driver that crashes or hangs is no missing one.
list() {
  timeout -k 5 60 "$bin/gpu_conformance" "$@" --list --gpus >"$logs/list.log" 2>&1
  status=$?
  tee -a "$logs/devices" <"$logs/list.log"
  case $status in
  0 | 77) ;;
  124 | 137) record "devices of $1" FAIL 60 'the driver does not come back' ;;
  *) record "devices of $1" FAIL 0 "exit status $status: the driver crashed, or the program did" ;;
  esac
}

# Devices of a backend, "cuda:0 cuda:1"; empty without any.
devices_of() { timeout 60 "$bin/gpu_conformance" "$@" --list 2>/dev/null | sed -n 's/^\([a-z]*:[0-9]*\) .*/\1/p'; }
why_none() { timeout 60 "$bin/gpu_conformance" "$@" --list 2>&1 | grep -m1 'NOT RUN' | cut -c1-110; }

# ---- what is here ----------------------------------------------------------------------------------------------------------------

echo "${title}Foghorn GPU check on $(uname -n), $(date -u +%Y-%m-%dT%H:%MZ), at most $budget s"
echo "needs $(cat "$here/glibc" 2>/dev/null || echo '?'); here: $(ldd --version 2>/dev/null | head -n 1)"
"$bin/gpu_conformance" >/dev/null 2>&1
[ $? -eq 2 ] || { # its usage message: it could be loaded
  echo "check.sh: the programs cannot be started here:" >&2
  "$bin/gpu_conformance"
  exit 1
}
cuda=$(devices_of cuda --gpus $fake_option)
first_cuda=${cuda%% *} this_cuda=''
list cuda $fake_option

# ---- right? ------------------------------------------------------------------------------------------------------------------------

# 1 says that something expected is unusable: a finding, and the report has been made.
step 'devprobe' 60 sh -c '"$0"; status=$?; [ $status -le 1 ] || exit $status' "$bin/devprobe"
cat "$logs/devprobe.log"
# shellcheck disable=SC2016
step 'devprobe --json' 60 sh -c '"$0" --json >"$1/devprobe.json" || [ $? -eq 1 ] || exit 1
  if command -v python3 >/dev/null; then python3 -m json.tool "$1/devprobe.json" >/dev/null || exit 1; fi
  grep -q "\"schema\": *\"foghorn.devprobe/1\"" "$1/devprobe.json" && echo "$(wc -c <"$1/devprobe.json") bytes"' "$bin/devprobe" "$logs"

# Images for CUDA have the vendor's OpenCL library, but often neither a loader nor the file that names it: the bundle has a loader, and
# this names it. devprobe above has told the machine as it is.
opencl=$(devices_of opencl --gpus)
why_no_opencl=$(why_none opencl --gpus)
if [ -z "$opencl" ] && [ -n "$cuda" ] && [ -z "$fake" ] && mkdir -p "$logs/vendors"; then
  echo libnvidia-opencl.so.1 >"$logs/vendors/nvidia.icd"
  opencl=$(
    OCL_ICD_VENDORS=$logs/vendors LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$here/opencl
    export OCL_ICD_VENDORS
    devices_of opencl --gpus
  )
  if [ -n "$opencl" ]; then
    echo "OpenCL through this check's own loader and list of drivers, for this machine has none that work: $why_no_opencl"
    OCL_ICD_VENDORS=$logs/vendors LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$here/opencl
    export OCL_ICD_VENDORS
  fi
fi
first_opencl=${opencl%% *} this_opencl=''
list opencl
if [ -z "$long" ] && [ "$cuda$opencl" != "$first_cuda$first_opencl" ]; then
  record 'all but the first GPU' 'not run' 0 "of $(echo $cuda $opencl): --long checks all of them"
  cuda=$first_cuda opencl=$first_opencl this_cuda="--device $first_cuda" this_opencl="--device $first_opencl"
fi

# The drills on the stand-in are about faults that no real GPU should be given.
for drill in stand_in faults blocks ''; do
  program=$bin/test_backend_cuda${drill:+_$drill}
  if [ -x "$program" ]; then
    aside "drills (stand-in): ${drill:-backend}" 200 env LD_LIBRARY_PATH="$real_path" "$program"
  else
    record "drills (stand-in): ${drill:-backend}" 'not run' 0 'not in this bundle'
  fi
done

# Every kernel straight through the backend's table. A variant that fails, crashes or is silent for long ends its process and not the step.
apart=$([ -n "$fake" ] && echo 200 || echo 45)
if [ -n "$cuda" ]; then
  # shellcheck disable=SC2086 # words
  step 'kernels on CUDA' 240 "$bin/gpu_conformance" cuda --gpus $this_cuda $fake_option --cases "$cases" --apart "$apart" ${sample:+--quick}
else
  record 'kernels on CUDA' 'not run' 0 "$(why_none cuda $fake_option)"
fi
# What the driver answers where devprobe names a cause, and faults that are safe beside other users of the GPU.
if [ -n "$cuda" ]; then
  step 'confirmations' 100 "$bin/gpu_confirm" $fake_option
  step 'drills (this GPU)' 150 "$bin/gpu_drills" $fake_option
else
  record 'confirmations' 'not run' 0 'no CUDA device'
  record 'drills (this GPU)' 'not run' 0 'no CUDA device'
fi
end_asides

# ---- fast? -------------------------------------------------------------------------------------------------------------------------

python=${FOGHORN_GPU_CHECK_PYTHON:-$(command -v python3 || :)}
# Where cuBLAS came with PyTorch and not with a toolkit, no path of the machine leads to it.
cublas=$([ -z "$python" ] || [ -n "$fake" ] || timeout 20 "$python" -c 'import glob, os, sys
found = [path for place in sys.path for path in sorted(glob.glob(place + "/nvidia/*/lib/libcublas.so.*"))]
print(os.path.dirname(found[0]) if found else "")' 2>/dev/null)
[ -z "$cublas" ] || LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$cublas
if [ -z "$first_cuda" ]; then
  record 'calibration' 'not run' 0 'no CUDA device'
  record 'bench' 'not run' 0 'no CUDA device'
  record 'bench: peers' 'not run' 0 'no CUDA device'
else
  quick=${fake:+0.02}
  [ -z "$fake" ] || bench_seconds=40
  # The planner chooses by what it measured, as on a machine that is set up; devprobe shows the links then.
  step 'calibration' 80 sh -c '"$0" bench --calibrate --device "$1" --within "$2" $3 && { "$0"; [ $? -le 1 ]; }' \
    "$bin/devprobe" "$first_cuda" "$([ -n "$fake" ] && echo 5 || echo 40)" "${fake:+--allow-fake}"
  step 'bench' $((bench_seconds / times + 40)) "$bin/gpu_bench" measure --device "$first_cuda" ${first_opencl:+--opencl "$first_opencl"} \
    $fake_option --seconds "$bench_seconds" --case-seconds "${quick:-0.6}" --out "$logs/bench.json"
  if [ -z "$python" ]; then
    record 'bench: peers' 'not run' 0 'no python3 here'
  else
    # Python's libraries bring their own: nothing of this folder is put before them. libgpu_bench.so knows where its own lie.
    step 'bench: peers' $((bench_seconds / times + 40)) env LD_LIBRARY_PATH="$plain_path" "$python" "$here/peers.py" \
      --library "$bin/libgpu_bench.so" --device "$first_cuda" $fake_option --seconds "$bench_seconds" --case-seconds "${quick:-0.6}" \
      --out "$logs/peers.json"
  fi
fi

# ---- the rest, as far as there is time ------------------------------------------------------------------------------------------------

if [ -n "$opencl" ]; then
  # shellcheck disable=SC2086 # words
  step "kernels on the vendor's OpenCL" 240 "$bin/gpu_conformance" opencl --gpus $this_opencl --cases $(((cases + 1) / 2)) --apart "$apart"
else
  record "kernels on the vendor's OpenCL" 'not run' 0 "$why_no_opencl"
fi

# As a user would, through the planner.
verify_cases=
[ "$cases" -eq 0 ] || verify_cases="--cases $(((cases + 2) / 3))"
for device in $cuda $opencl; do
  # shellcheck disable=SC2086 # words
  step "devprobe verify --device $device" 400 "$bin/devprobe" verify --device "$device" ${fake:+--allow-fake} $verify_cases $sample
done

# On some virtual machines the checker refuses the device: then it is not run, and no kernel is to blame.
sanitizer=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer || :)
trial=$logs/compute-sanitizer-trial.log refusals='not supported|unable|cannot|failed to init'
if [ -z "$cuda" ] || [ -n "$fake" ]; then
  record 'compute-sanitizer' 'not run' 0 'no GPU to watch'
elif [ -z "$sanitizer" ]; then
  record 'compute-sanitizer' 'not run' 0 'not installed (it comes with the CUDA toolkit)'
elif limit_to 60 && ! timeout -k 5 "$limit" "$sanitizer" "$bin/gpu_conformance" cuda --cases 1 axpy >"$trial" 2>&1 &&
  grep -qiE "$refusals" "$trial"; then
  record 'compute-sanitizer' 'not run' 0 "it does not work here: $(grep -m1 -iE "$refusals" "$trial" | cut -c1-80)"
else
  for tool in memcheck racecheck; do
    # shellcheck disable=SC2086 # words
    step "compute-sanitizer $tool" 300 "$sanitizer" --tool $tool --error-exitcode 1 "$bin/gpu_conformance" cuda $this_cuda --cases 1 --quick
  done
fi

# ---- the end -----------------------------------------------------------------------------------------------------------------------------

echo
echo "${title}Result"
cat "$logs/devices" "$table"
written=0
timeout 20 "$bin/gpu_bench" report "$logs" --dir "$results" $fake_option || written=1
grep "${tab}cut${tab}" "$logs/steps" | cut -f1 | sed 's/^/CUT: /'
echo "${title}$passed passed, $failed failed, $cut cut, $skipped not run in $(($(date +%s) - begin)) s   (logs: $logs)"
[ $failed -eq 0 ] && [ $cut -eq 0 ] && [ $written -eq 0 ] || exit 1
if [ -z "$cuda$opencl" ]; then
  echo 'NOT RUN: there is no usable GPU on this machine'
  exit 77
fi
exit 0
