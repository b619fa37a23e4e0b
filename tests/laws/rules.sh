#!/usr/bin/env bash
# Fails, naming it, when RULES.md names a test that does not exist, or does not have its 42 rows.
set -u
cd "$1" || exit 2
page=tests/unit/controller/rules/RULES.md
broken=0
for number in $(seq 42); do
  [ "$(grep -c "^| $number |" "$page")" -eq 1 ] || { echo "$page: rule $number must have one row"; broken=1; }
done
for name in $(grep -oE '`[A-Za-z]+\.[A-Za-z0-9_]+`' "$page" | tr -d '`' | grep -v '^laws\.' | sort -u); do
  suite=${name%%.*} case=${name#*.}
  tr -d '\n' <<<"$(cat $(grep -rl --include='*.cpp' "$case" tests/unit || echo /dev/null))" |
    grep -qE "TEST(_F|_P)?\($suite, +$case\)" || { echo "$page: there is no test $name"; broken=1; }
done
exit $broken
