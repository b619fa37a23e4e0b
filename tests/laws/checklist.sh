#!/usr/bin/env bash
# Fails when the checklist of the proxy and its tests differ: a test that is named but missing, a test
# that exists but is not named, or a letter from a to oo without a line.
set -u
cd "$1/tests/unit/dataplane/proxy" || exit 2
broken=0

named=$(grep '^| [a-z]' CHECKLIST.md | grep -oE '`[A-Z]+_[a-z0-9_]+`' | tr -d '`' | sort)
there=$(grep -ohE '^TEST(_F)?\(Checklist[A-Za-z]*,[[:space:]]*[A-Z]+_[a-z0-9_]+' checklist_*_test.cpp |
  sed -E 's/.*,[[:space:]]*//' | sort)
# Long names stand on a line of their own.
there=$(sort -u <(echo "$there") <(grep -ohE '^ +[A-Z]+_[a-z0-9_]+\) \{' checklist_*_test.cpp | tr -d ' ){'))
[ -n "$named" ] && [ -n "$there" ] || { echo "no line or no test was found"; exit 1; }

missing=$(comm -23 <(echo "$named") <(echo "$there"))
[ -z "$missing" ] || { printf 'named in CHECKLIST.md, but no test:\n%s\n' "$missing"; broken=1; }
unnamed=$(comm -13 <(echo "$named") <(echo "$there"))
[ -z "$unnamed" ] || { printf 'tests that CHECKLIST.md does not name:\n%s\n' "$unnamed"; broken=1; }

for letter in {a..z} aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo; do
  line=$(grep -E "^\| $letter \|" CHECKLIST.md)
  [ -n "$line" ] || { echo "no line ($letter)"; broken=1; }
  grep -q "\`${letter^^}_" <<<"$line" || { echo "no test of line ($letter) carries its letter"; broken=1; }
done
exit $broken
