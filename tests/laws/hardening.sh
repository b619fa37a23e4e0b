#!/usr/bin/env bash
# Fails when a built program lacks a protection: position independence, all relocations done and
# sealed before main, no executable stack, no memory that is writable and executable, no search path
# of its own for libraries, stack canaries, bounds checked by libc where they are known
# (_FORTIFY_SOURCE; fortified.cpp holds the level). PROGRAM...
set -u
broken=0
needs() { # PROGRAM WHAT PATTERN READELF-OPTION...
  local said
  said=$(readelf -W "${@:4}" "$1")
  grep -qE "$3" <<<"$said" || { echo "$1: no $2"; broken=1; }
}

forbids() { # PROGRAM WHAT PATTERN READELF-OPTION...
  local said
  said=$(readelf -W "${@:4}" "$1")
  grep -qE "$3" <<<"$said" && { echo "$1: $2"; broken=1; }
}

[ $# -gt 0 ] || { echo "no program is given"; exit 2; }
for program in "$@"; do
  [ -x "$program" ] || { echo "$program is not there"; broken=1; continue; }
  needs "$program" "position independent code" 'Type: +DYN' -h
  needs "$program" "mark of an executable (PIE)" 'FLAGS_1.* PIE' -d
  needs "$program" "binding before main" '\(FLAGS\).*BIND_NOW|FLAGS_1.* NOW' -d
  needs "$program" "sealed relocations" 'GNU_RELRO' -l
  needs "$program" "stack without code" 'GNU_STACK( +0x[0-9a-f]+){5} +RW ' -l
  forbids "$program" "memory that is writable and executable" 'LOAD .* RWE ' -l
  forbids "$program" "a search path of its own" '\((RPATH|RUNPATH)\)' -d
  needs "$program" "stack canary" ' __stack_chk_fail@' --dyn-syms
  needs "$program" "call that libc checks" ' __(mem|str|sn|vsn|s|vs)[a-z]*_chk@' --dyn-syms
done
exit $broken
