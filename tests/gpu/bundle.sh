#!/bin/sh
# Collects what check.sh needs, for a machine that has none of the build's packages. SPDX-License-Identifier: Apache-2.0
# usage: sh tests/gpu/bundle.sh BUILD DIR [ARCHIVE.tar.xz]
#   then carry DIR (or the archive, a thirtieth of it) to the machine with the GPU and run: sh DIR/check.sh
#   (.tar.gz is a third of it, for images that have no xz)
set -eu

die() {
  echo "bundle.sh: $*" >&2
  exit 2
}
[ $# -eq 2 ] || [ $# -eq 3 ] || die "usage: sh tests/gpu/bundle.sh BUILD DIR [ARCHIVE.tar.xz]"
build=$1 out=$2 archive=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
[ -d "$build" ] || die "there is no build folder $build"
programs='devprobe tests/gpu/gpu_conformance tests/gpu/gpu_confirm tests/gpu/gpu_drills bench/gpu/gpu_bench'
for program in $programs bench/gpu/libgpu_bench.so; do
  [ -x "$build/$program" ] || die "$build has no $program: build it first (cmake --build $build)"
done

# Without symbols of a debugger: a quarter of the size.
carry() {
  cp "$1" "$2/"
  strip --strip-debug "$2/$(basename "$1")" 2>/dev/null || :
}
mkdir -p "$out/bin" "$out/lib" "$out/fakes"
cp "$here/check.sh" "$here/../../bench/gpu/peers.py" "$out/"
carry "$build/tests/fakes/libcuda.so.1" "$out/fakes"
for program in $programs bench/gpu/libgpu_bench.so; do carry "$build/$program" "$out/bin"; done

# The drills on the stand-in are left out, and said so, where the build lacks them.
for drill in '' _stand_in _faults _blocks; do
  program=tests/unit/test_backend_cuda$drill
  if [ -x "$build/$program" ]; then
    carry "$build/$program" "$out/bin"
  else
    echo "bundle.sh: left out, the build has no $program"
  fi
done

# Shared libraries, all but the C library: that one belongs to the machine, as its driver does.
is_system() {
  case $1 in
  libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | ld-linux* | libcuda.so.* | libOpenCL.so.*) return 0 ;;
  esac
  return 1
}
for program in "$out"/bin/* "$out"/fakes/*; do
  ldd "$program" | while read -r name arrow path _; do
    if [ "$arrow" = "=>" ] && [ "$path" = not ]; then
      echo "bundle.sh: $program needs $name, which is not here" >&2
      exit 1
    fi
    [ "$arrow" = "=>" ] && ! is_system "$name" || continue
    [ -e "$out/lib/$name" ] || cp -L "$path" "$out/lib/$name"
  done
done

# The OpenCL loader, apart: for a machine that has a vendor's OpenCL and none.
loader=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | sed -n 's/.*libOpenCL\.so\.1 (libc6,x86-64.*=> //p' | head -n 1)
if [ -n "$loader" ]; then
  mkdir -p "$out/opencl"
  cp -L "$loader" "$out/opencl/libOpenCL.so.1"
else
  echo 'bundle.sh: left out, there is no libOpenCL.so.1 here'
fi

# The oldest C library that will do, for the first line of check.sh.
for program in "$out"/bin/* "$out"/lib/*; do
  objdump -T "$program" 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' || :
done | sort -u -t. -k2n | tail -1 >"$out/glibc"

echo "$out: $(find "$out" -type f | wc -l) files, $(du -sh "$out" | cut -f1), needs $(cat "$out/glibc") or newer"
if [ -n "$archive" ]; then
  export XZ_OPT="${XZ_OPT:---lzma2=preset=3,dict=256MiB}" # the window spans all programs, which have most bytes in common
  tar -C "$(dirname "$out")" -caf "$archive" "$(basename "$out")"
  echo "$archive: $(du -h "$archive" | cut -f1)"
fi
