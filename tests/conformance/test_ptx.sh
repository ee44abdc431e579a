#!/bin/sh
# The generated PTX is accepted by NVIDIA's assembler, for the oldest architecture it knows and for newer ones.
# SPDX-License-Identifier: Apache-2.0
set -eu
PATH=$PATH:/usr/local/cuda/bin
command -v ptxas >/dev/null || { echo "NOT RUN: no ptxas in PATH or /usr/local/cuda/bin"; exit 77; }
set -- "$FH_BINARY_DIR"/kernels/*.ptx
[ -e "$1" ] || { echo "NOT RUN: this build has no PTX"; exit 77; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tried=0
for arch in sm_60 sm_75 sm_80 sm_90; do
  printf '.version 6.0\n.target sm_60\n.address_size 64\n' > "$out.ptx"
  ptxas -arch=$arch "$out.ptx" -o "$out" 2>/dev/null || { echo "$arch: not known to this ptxas"; rm -f "$out.ptx"; continue; }
  rm -f "$out.ptx"
  for ptx; do ptxas -arch=$arch "$ptx" -o "$out"; done
  tried=$((tried + $#))
  echo "$arch: $# files"
done
[ $tried -gt 0 ] || { echo "NOT RUN: this ptxas knows none of the architectures tried"; exit 77; }
