#!/bin/sh
# An outside program is built from an installed and then moved tree, through find_package and through pkg-config, with
# the shared and with the static library, and runs. SPDX-License-Identifier: Apache-2.0
# TEST: label=full timeout=120 plain=yes
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
consumer=$FH_SOURCE_DIR/tests/install/consumer

"$CMAKE" --install "$FH_BINARY_DIR" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/tree" # whoever still looks at the old place fails
tree=$work/tree
libdir=$(dirname "$(find "$tree" -name libfoghorn.a)")

expect_version() {
  printf '%s: ' "$1"
  shift
  answer=$("$@") || {
    echo "FAILED with $?"
    exit 1
  }
  echo "$answer"
  [ "$answer" = "foghorn $version" ] || exit 1
}
version=$(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --modversion foghorn)

# 1. find_package
"$CMAKE" -S "$consumer" -B "$work/build" -G Ninja -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$tree" >"$work/configure.log"
"$CMAKE" --build "$work/build" >"$work/build.log" || {
  cat "$work/build.log"
  exit 1
}
expect_version "find_package, shared" "$work/build/consumer_shared"
expect_version "find_package, static" "$work/build/consumer_static"

# The flags that build the library are its own affair.
if grep -n -e '-Werror' -e '-Wmissing-prototypes' "$libdir"/cmake/foghorn/*.cmake; then
  echo "FAILED: the project's own warning flags are passed on to users"
  exit 1
fi

# 2. pkg-config
export PKG_CONFIG_PATH="$libdir/pkgconfig"
# shellcheck disable=SC2046 # lists of flags
"$CC" $(pkg-config --cflags foghorn) "$consumer/consumer.c" -o "$work/pc_shared" $(pkg-config --libs foghorn) -Wl,-rpath,"$libdir"
expect_version "pkg-config, shared" "$work/pc_shared"
# shellcheck disable=SC2046
"$CC" $(pkg-config --cflags foghorn) "$consumer/consumer.c" -o "$work/pc_static" \
  $(pkg-config --static --libs foghorn | sed 's/-lfoghorn/-l:libfoghorn.a/')
expect_version "pkg-config, static" "$work/pc_static"

# Each got what it asked for.
needs_foghorn() { readelf -d "$1" | grep -q 'NEEDED.*libfoghorn\.so\.0'; }
for program in "$work/build/consumer_shared" "$work/pc_shared"; do
  needs_foghorn "$program" || { echo "FAILED: $program does not need libfoghorn.so.0" && exit 1; }
done
for program in "$work/build/consumer_static" "$work/pc_static"; do
  ! needs_foghorn "$program" || { echo "FAILED: $program needs libfoghorn.so.0" && exit 1; }
done

# 3. devprobe, where this build has it
if [ -n "${DEVPROBE:-}" ]; then
  "$tree/bin/devprobe" --version
  [ -f "$tree/share/man/man1/devprobe.1" ] || { echo "FAILED: no man page" && exit 1; }
fi
