#!/usr/bin/env bash
# Fails when a source file outgrows 400 lines.
set -u
cd "$1" || exit 2
long=$(find common controller dataplane empalme examples -name '*.?pp' -exec awk 'END { if (NR > 400) print FILENAME ": " NR " lines" }' {} \;)
[ -z "$long" ] || { printf 'longer than 400 lines:\n%s\n' "$long"; exit 1; }
