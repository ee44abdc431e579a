#!/bin/sh
# devprobe verify on the stand-in OpenCL GPU: every kernel gives the right bits with its lanes in work-items, as GPUs run it.
# SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=900 plain=yes
set -u
[ -n "${DEVPROBE:-}" ] || { echo "NOT RUN: devprobe is not part of this build"; exit 77; }
vendors=$FH_BINARY_DIR/tests/fakes/opencl-vendors
[ -d "$vendors" ] || { echo "NOT RUN: this build has no stand-in OpenCL GPU: it wants clang and x86-64"; exit 77; }
. "$FH_SOURCE_DIR/tests/devprobe/cli.sh"

kernels=$(sed -n 's/^FH_KERNEL(\([a-z0-9_]*\),.*/\1/p' "$FH_SOURCE_DIR/kernels/kernels.def")
OCL_ICD_VENDORS=$vendors OPENCL_VENDOR_PATH=$vendors
FOGHORN_CACHE_DIR='' # the stand-in may have changed since it built what lies there
export OCL_ICD_VENDORS OPENCL_VENDOR_PATH FOGHORN_CACHE_DIR
run 0 verify --allow-fake --device opencl:0 --cases 12
cat "$work/out"
for kernel in $kernels; do
  grep -Eq "^pass +$kernel +opencl:0 +[1-9][0-9]* calls$" "$work/out" || fail "$kernel did not pass"
done
finish
