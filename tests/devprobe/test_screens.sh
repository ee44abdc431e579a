#!/bin/sh
# devprobe's screens of recorded machines: three word for word, all of them for form. SPDX-License-Identifier: Apache-2.0
# shellcheck source=tests/devprobe/cli.sh
. "$(dirname "$0")/cli.sh"
screens=$FH_SOURCE_DIR/tests/devprobe/screens

# SCREENS=update writes them anew, to be read in the diff.
for screen in "$screens"/*.txt; do
  machine=$(basename "$screen" .txt)
  "$DEVPROBE" --from "$machines/$machine" >"$work/out" 2>"$work/err"
  silent err
  [ "${SCREENS:-}" = update ] && cp "$work/out" "$screen"
  diff -u "$screen" "$work/out" || fail "the screen of $machine has changed (SCREENS=update sh $0 writes it anew)"
done

# key FILE NAME: a number or a quoted text of a flat JSON file.
key() { sed -n 's/^ *"'"$2"'": *"\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "$1" | head -n 1; }

count=0
for folder in "$machines"/*/; do
  machine=$(basename "$folder")
  wanted=$(key "$folder/expect.json" exit)
  verdict=$(key "$folder/expect.json" verdict)
  primary=$(key "$folder/expect.json" primary)
  expect=$(key "$folder/expect.json" expect)
  count=$((count + 1))
  for mode in '' -v -q; do
    "$DEVPROBE" --from "$folder" --color never $mode ${expect:+--expect "$expect"} >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" -eq "$wanted" ] || fail "$machine $mode: exit status $status, expected $wanted"
    silent err
    if [ "$mode" = -q ]; then
      silent out
      continue
    fi
    fits "$machine $mode"
    head -n 1 "$work/out" | grep -q "^$verdict: ." || fail "$machine: the first line is not the verdict $verdict"
    [ "$primary" = null ] || [ "$verdict" = OK ] || says out "devprobe cause $primary"
  done
done
[ "$count" -ge 32 ] || fail "only $count machines"

# Colour only when asked for.
"$DEVPROBE" --from "$machines/cr-no-gpu-requested" --color always >"$work/out"
grep -q "$(printf '\033')\\[" "$work/out" || fail '--color always gives no colour'
sed "s/$(printf '\033')\\[[0-9;]*m//g" "$work/out" | diff - "$screens/cr-no-gpu-requested.txt" || fail 'colour changes the text'
finish
