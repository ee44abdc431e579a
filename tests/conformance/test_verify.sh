#!/bin/sh
# devprobe verify: every kernel passes in every variant that this machine has, and what was not run is listed with its reason.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=1200 cross=no sanitize=address
# Not under the emulator of a cross build, where it takes minutes: conformance/test_cpu_entries tries every kernel on the same
# instruction sets there, devprobe/test_run the command. An old x86-64 is the matter of tests/emulation.
set -eu
[ -n "${DEVPROBE:-}" ] || { echo "NOT RUN: devprobe is not part of this build"; exit 77; }
. "$FH_SOURCE_DIR/tests/devprobe/cli.sh"

kernels=$(sed -n 's/^FH_KERNEL(\([a-z0-9_]*\),.*/\1/p' "$FH_SOURCE_DIR/kernels/kernels.def")
[ "$(echo "$kernels" | wc -w)" -ge 8 ] || fail "only these kernels in kernels.def: $kernels"

# The instruction sets of the build that is tried, which a file's header tells.
machine=$(od -An -tu1 -j18 -N1 "$FH_BINARY_DIR/devprobe" | tr -d ' ')
case $machine in
  62) must='cpu/scalar' may='cpu/sse42 cpu/avx2 cpu/avx512' ;;
  183) must='cpu/scalar cpu/neon' may='' ;;
  *) must='cpu/scalar' may='' ;;
esac

# A sanitizer makes it ten times slower, and what it looks for is in the small cases too. LeakSanitizer reads the memory of an OpenCL
# driver's threads while they end, and has crashed there: leaks are looked for without them.
cases=
if [ -n "${FH_SANITIZED:-}" ]; then
  echo "NOT RUN: all but the first 8 cases of each kernel, which the release tries"
  run 0 verify --device cpu --cases 2
  cases='--cases 8'
  export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
fi
# shellcheck disable=SC2086 # words
run 0 verify $cases
cp "$work/out" "$work/all"
cat "$work/all"
if grep '^FAIL' "$work/all"; then fail "a variant is wrong"; fi

passes() { grep -Eq "^pass +$1 +$2 +[1-9][0-9]* calls$" "$work/all"; }
excused() { grep -Eq "^NOT RUN +$1 +$2 +[[:alnum:]]" "$work/all"; }

for kernel in $kernels; do
  for variant in $must; do passes "$kernel" "$variant" || fail "$kernel did not pass on $variant"; done
  for variant in $may; do
    passes "$kernel" "$variant" || excused "$kernel" "$variant" || fail "$kernel on $variant is neither run nor excused"
  done
done

# Of each backend there is a device on which every kernel was tried, or a line that says why not.
for backend in opencl cuda; do
  if excused '\(all\)' "$backend(:[^ ]+)?"; then continue; fi
  for kernel in $kernels; do
    passes "$kernel" "$backend:[0-9]+" || excused "$kernel" "$backend:[0-9]+" || fail "$kernel on $backend is neither run nor excused"
  done
done

# The last line counts what is above it.
count() { grep -c "^$1 " "$work/all" || true; }
says out "$(count pass) variants passed, 0 failed, $(count 'NOT RUN') not run"

# A cap is a reason, too.
if [ -n "$may" ]; then
  FOGHORN_ISA=scalar run 0 verify --device cpu axpy
  says out '1 variants passed, 0 failed, 3 not run'
  grep -Eq '^NOT RUN +axpy +cpu/avx2 +(above the ISA cap|this machine cannot)' "$work/out" || fail "the cap is not given as the reason"
fi
finish
