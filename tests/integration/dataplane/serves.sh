#!/usr/bin/env bash
# The real program on loopback: serves a state file, ends at SIGTERM, serves again from its folder,
# and refuses a broken file without starting.
set -u
program=$1
work=$(mktemp -d)
pids=()
broken=0
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT

fail() { echo "$*"; cat "$work"/*.log; broken=1; }
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

backend() { # NAME PORT
  mkdir -p "$work/$1" && echo "$1" >"$work/$1/name"
  python3 -m http.server "$2" --bind 127.0.0.1 --directory "$work/$1" >"$work/$1.log" 2>&1 &
  pids+=($!)
}

ask() { python3 -c "
import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$1/name', timeout=5).read().decode().strip())" 2>/dev/null; }

await() { for _ in $(seq 100); do ask "$1" >/dev/null && return 0; sleep 0.1; done; return 1; }

vip=$(free_port) one=$(free_port) two=$(free_port)
backend one "$one"
backend two "$two"
await "$one" && await "$two" || fail "the backends did not start"
cat >"$work/state.json" <<S
{"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"file/web","addresses":["127.0.0.1"],
 "ports":[{"port":$vip,"backends":[{"address":"127.0.0.1","port":$one},{"address":"127.0.0.1","port":$two}]}]}]}
S

start() { # ARGUMENT...
  "$program" --admin "unix:$work/admin.sock" --announce none --workers 2 --state-dir "$work/held" "$@" >"$work/run.log" 2>&1 &
  running=$!
  pids+=($running)
}

start --state "$work/state.json"
await "$vip" || fail "does not serve the file"
answers=$(for _ in $(seq 20); do ask "$vip"; done | sort | uniq -c | tr -s ' ' | tr '\n' ';')
[[ $answers == *one*two* ]] || fail "both backends must answer, got $answers"
kill "$running"; wait "$running"
code=$?
[ $code -eq 0 ] || fail "SIGTERM must end with 0, got $code"

start
await "$vip" || fail "does not serve again from its folder"
kill -9 "$running"; wait "$running" 2>/dev/null
start
await "$vip" || fail "does not serve again after being killed"
kill "$running"; wait "$running"

printf '{"schema":"empalme.io/v1","epoch":1,"generation":1,"sevices":[]}' >"$work/bad.json"
start --state "$work/bad.json"
wait "$running"
code=$?
[ $code -eq 1 ] && grep -q '"pointer":"/sevices"' "$work/run.log" || fail "a broken file must be refused with its pointer, got $code"
exit $broken
