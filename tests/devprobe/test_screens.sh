#!/bin/sh
# devprobe's screens of recorded machines: word for word, and colours. The form of all of them: test_screen_form.py. SPDX-License-Identifier: Apache-2.0
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

# Colour only when asked for.
"$DEVPROBE" --from "$machines/cr-no-gpu-requested" --color always >"$work/out"
grep -q "$(printf '\033')\\[" "$work/out" || fail '--color always gives no colour'
sed "s/$(printf '\033')\\[[0-9;]*m//g" "$work/out" | diff - "$screens/cr-no-gpu-requested.txt" || fail 'colour changes the text'
finish
