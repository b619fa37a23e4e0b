#!/usr/bin/env bash
# `empalme up` with real backends: serves a file, follows its edits, survives the death of each child,
# shows its status, and ends at SIGTERM. Arguments: the folder of the programs.
set -u
bin=$1
work=$(mktemp -d)
pids=()
broken=0
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/up.log"; broken=1; }
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
until_true() { for _ in $(seq 100); do "$@" && return 0; sleep 0.1; done; return 1; }
ask() { curl -s -m 2 "http://127.0.0.1:$vip/"; }
answers() { [ -n "$(ask)" ]; }
status() { "$bin/empalme" status --admin "unix:$work/run/dataplane.sock" "$@"; }
child() { pgrep -P "$up" -f "$1" | head -n 1; }

vip=$(free_port) one=$(free_port) two=$(free_port)
for pair in "one $one" "two $two"; do
  read -r name port <<<"$pair"
  "$bin/empalme-demo-web" --name "$name" --listen "127.0.0.1:$port" >"$work/$name.log" 2>&1 &
  pids+=($!)
done
write() { printf 'services:\n  - name: web\n    listen: 127.0.0.1:%s\n    backends: [%s]\n' "$vip" "$1" >"$work/lb.yaml"; }
write "\"127.0.0.1:$one\", \"localhost:$two\""

"$bin/empalme" up --source "file:$work/lb.yaml" --socket-dir "$work/run" --observe none --observe-controller none >"$work/up.log" 2>&1 &
up=$!
pids+=("$up")
until_true answers || fail "does not serve the file"
both() { [ "$(for _ in 1 2 3 4 5 6; do ask; done | sort -u | tr '\n' ' ')" = "one two " ]; }
until_true both || fail "both backends must answer, the one by name too"
status | grep -qE 'file/web +127\.0\.0\.1 +[0-9]+/tcp +2/2 +[0-9]+ +serving' || fail "status: $(status)"

write "\"127.0.0.1:$two\""
only_two() { [ "$(for _ in 1 2 3 4; do ask; done | sort -u)" = two ]; }
until_true only_two || fail "an edit is not followed"
echo 'services: [' >"$work/lb.yaml"
until_true grep -q '"reason":"Syntax"' "$work/up.log" || fail "a bad edit is not reported"
only_two || fail "a bad edit changed what is served"

controller=$(child empalme-controller)
kill -9 "$controller"
answers || fail "a dead controller stopped the traffic"
write "\"127.0.0.1:$one\""
only_one() { [ "$(ask)" = one ]; }
until_true only_one || fail "the controller was not started again"
dataplane=$(child empalme-dataplane)
kill -9 "$dataplane"
until_true only_one || fail "the data plane was not started again"

kill "$up"; wait "$up"
code=$?
[ $code -eq 0 ] || fail "SIGTERM must end with 0, got $code"
pgrep -f "$work/run" >/dev/null && fail "a child outlived its parent"
out=$(status 2>&1) && fail "status must fail when nobody is there"
[[ $out == *"Is a data plane running there?"* ]] || fail "status without anybody: $out"

"$bin/empalme" up --source "file:$work/lb.yaml" --socket-dir "$work/run" --observe nonsense >"$work/up.log" 2>&1
code=$?
[ $code -eq 2 ] && grep -q 'ADDRESS:PORT' "$work/up.log" || fail "a bad flag must end at once with 2, got $code"
exit $broken
