#!/usr/bin/env bash
# Fails when a source or test file outgrows 400 lines.
set -u
cd "$1" || exit 2
long=$(find common controller dataplane empalme examples tests \
  \( -name '*.?pp' -o -name '*.py' -o -name '*.sh' \) \
  -exec awk 'END { if (NR > 400) print FILENAME ": " NR " lines" }' {} \;)
[ -z "$long" ] || { printf 'longer than 400 lines:\n%s\n' "$long"; exit 1; }
