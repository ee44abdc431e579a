#!/bin/sh
# Fetches from PyPI what tests look at machine code with (requirements.txt), once: 40 MB. SPDX-License-Identifier: Apache-2.0
# usage: sh tests/ptx/fetch.sh FOLDER PYTHON       in FOLDER/cuda-venv, log in FOLDER/install.log
# What failed is not tried again for a day: without a network each try takes half a minute. Exit status 0 all there, 1 it is not.
set -u
folder=$1 python=$2
wanted=$(dirname "$0")/requirements.txt
environment=$folder/cuda-venv failed=$folder/cuda-tools-failed
cmp -s "$wanted" "$environment/holds" && exit 0
[ -z "$(find "$failed" -mtime -1 2>/dev/null)" ] || exit 1
mkdir -p "$folder" || exit 1

# Made beside and renamed: another run may look for it, or do the same, or be killed half-way.
new=$environment.$$
find "$folder" -maxdepth 1 -name 'cuda-venv.*' -mtime +0 -exec rm -rf {} +
trap 'rm -rf "$new"' EXIT
trap 'exit 1' INT TERM HUP
echo "installing ptxas and nvdisasm from PyPI into $environment" >&2
if timeout 60 "$python" -m venv "$new" >>"$folder/install.log" 2>&1 &&
  timeout 300 "$new/bin/pip" --disable-pip-version-check install -q --timeout 15 --retries 1 --no-deps \
    --require-hashes --only-binary :all: -r "$wanted" >>"$folder/install.log" 2>&1 &&
  cp "$wanted" "$new/holds"; then
  rm -rf "$environment"
  mv -T "$new" "$environment" 2>/dev/null || cmp -s "$wanted" "$environment/holds" || exit 1
  rm -f "$failed"
else
  : >"$failed"
  echo "they cannot be installed ($folder/install.log): tests that need them say NOT RUN" >&2
  echo "nothing is tried again for a day, or until $failed is removed" >&2
  exit 1
fi
