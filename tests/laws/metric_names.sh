#!/usr/bin/env bash
# Fails, naming it, when a metric of the programs is in none of README.md's tables, or README.md names
# one that no program has. The tables name metrics in full in their first column, `{labels}` behind;
# a histogram goes by its plain name.
set -u
cd "$1" || exit 2
servers=common/net/http_server.cpp # its names are of both programs

# Of a source: the literals that stand before a help text, which begins with a capital or a digit.
names_in() {
  grep -zoP '"[a-z0-9_]+"(?=,\s*"[A-Z0-9])' "$1" | tr -d '"' | tr '\0' '\n'
}

made() {
  local file prefix
  grep -rhoE --include='*.cpp' '"empalme_[a-z0-9_]*[a-z0-9]"' controller dataplane | tr -d '"'
  grep -rlE --include='*.cpp' '^constexpr char kPrefix\[\] = "empalme_' controller dataplane |
    while read -r file; do
      prefix=$(sed -nE 's/^constexpr char kPrefix\[\] = "(empalme_[a-z_]+)";/\1/p' "$file")
      names_in "$file" | sed -E "/^empalme_/! s/^/$prefix/"
    done
  names_in "$servers" | sed -E 's/(.*)/empalme_controller_\1\nempalme_dataplane_\1/'
}

# What ends in _total is a metric: none may stand where made() does not look.
overlooked() {
  local name
  for name in $(grep -rhoE --include='*.cpp' '"[a-z0-9_]+_total"' controller dataplane "$servers" | tr -d '"' | sort -u); do
    grep -qE "(^|_)$name$" <<<"$made" || echo "$name"
  done
}

complain() { # WHAT NAMES
  [ -z "$2" ] && return
  printf '%s:\n%s\n' "$1" "$2"
  broken=1
}

broken=0
made=$(made | sort -u)
told=$(grep -E '^\| `empalme_' README.md | cut -d'|' -f2 | grep -oE 'empalme_[a-z0-9_]+' | sort -u)
named=$(grep -oE 'empalme_[a-z0-9_]+' README.md | sort -u)
[ -n "$made" ] && [ -n "$told" ] || { echo "no metric was found"; exit 1; }
complain "made, but in no table of README.md" "$(comm -23 <(echo "$made") <(echo "$told"))"
complain "in README.md, but made by no program" "$(comm -13 <(echo "$made") <(echo "$named"))"
complain "metrics that this law does not find" "$(overlooked)"
exit $broken
