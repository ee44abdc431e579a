#!/bin/sh
# What is fetched for tests of machine code: once, whole or not at all, and a dead network is paid for once a day.
# SPDX-License-Identifier: Apache-2.0
# TEST: plain=yes timeout=60
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
build=$work/build
fail() {
  echo "FAILED: $*"
  cat "$work/calls" "$build/install.log" 2>/dev/null
  exit 1
}
# A Python that makes environments whose pip does what $work/pip says, and writes down how it was called.
cat >"$work/python" <<END
#!/bin/sh
mkdir -p "\$3/bin" && cp "$work/pip" "\$3/bin/pip" && chmod +x "\$3/bin/pip"
END
chmod +x "$work/python"
pip_does() { printf '#!/bin/sh\necho "$*" >>%s/calls\n%s\n' "$work" "$1" >"$work/pip"; }
fetch() { sh "$FH_SOURCE_DIR/tests/ptx/fetch.sh" "$build" "$work/python" >>"$work/log" 2>&1; }
calls() { cat "$work/calls" 2>/dev/null | wc -l; }
leftovers() { find "$build" -maxdepth 1 -name 'cuda-venv.*' | wc -l; }

pip_does 'exit 1'
! fetch || fail 'a fetch that failed passes'
[ "$(calls)" -eq 1 ] || fail "pip was called $(calls) times, expected 1"
! fetch || fail 'a fetch that failed before passes'
[ "$(calls)" -eq 1 ] || fail 'what failed is tried again at once'
[ ! -e "$build/cuda-venv" ] && [ "$(leftovers)" -eq 0 ] || fail 'something is left of a fetch that failed'
grep -q -e '--require-hashes --only-binary :all:' "$work/calls" || fail 'what is fetched is not held to its hashes'

touch -d '2 days ago' "$build/cuda-tools-failed"
pip_does 'kill -TERM "$PPID"; exit 1' # of timeout
! fetch || fail 'a fetch that was ended passes'
[ "$(calls)" -eq 2 ] || fail 'what failed days ago is not tried again'
[ "$(leftovers)" -eq 0 ] || fail 'something is left of a fetch that was ended'

rm -f "$build/cuda-tools-failed"
pip_does 'exit 0'
fetch || fail 'the fetch failed'
cmp -s "$FH_SOURCE_DIR/tests/ptx/requirements.txt" "$build/cuda-venv/holds" || fail 'it is not marked as whole'
fetch || fail 'a second fetch failed'
[ "$(calls)" -eq 3 ] && [ "$(leftovers)" -eq 0 ] || fail 'what is there is fetched again'

# What is wanted has changed: fetched anew. Each name has a hash for each of the two architectures.
echo other >"$build/cuda-venv/holds"
fetch && [ "$(calls)" -eq 4 ] || fail 'an older one is kept'
[ "$(grep -c -e '--hash=sha256:[0-9a-f]\{64\}' "$FH_SOURCE_DIR/tests/ptx/requirements.txt")" -eq 4 ] || fail 'a hash is missing'
echo ok
