#!/usr/bin/env bash
# Three processes behind lb.yaml under 200 new connections a second: one ends and comes back, one leaves the file and comes
# back, and a broken edit is made. Says what failed. Run it by tests/support/own_loopback.sh: the ports are those of
# the file.   run.sh BUILD_FOLDER
set -u
build=$(cd "$1" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
die() { echo "FAILED: $*"; tail -n 5 "$work"/*.log; exit 1; }
until_true() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
declare -A web
start() { # PORT
  "$build/empalme-demo-web" --name "$1" --listen "127.0.0.1:$1" >>"$work/web.log" 2>&1 &
  web[$1]=$!
  pids+=($!)
}
# Each of a dozen questions is answered by one of these, and each of these answers one.
served_by() { # "PORT PORT..."
  [ "$(for _ in $(seq 12); do curl -s -m 1 http://127.0.0.1:8080/; done | sort -u | tr '\n' ' ')" = "$1 " ]
}
for port in 4000 4001 4002; do start $port; done
cp "$here/lb.yaml" "$work/lb.yaml"
"$build/empalme" validate "$work/lb.yaml" >"$work/validate.log" || die "the file is wrong"
"$build/empalme" up --source "file:$work/lb.yaml" --socket-dir "$work/run" --observe none \
  --observe-controller none >"$work/up.log" 2>&1 &
pids+=($!)
until_true curl -sf -m 1 http://127.0.0.1:8080/ || die "nobody answers"
"$build/empalme-demo-load" --target 127.0.0.1:8080 --rate 200 --seconds 120 --log "$work/load.txt" \
  >"$work/load.json" 2>"$work/load.log" &
load=$!
pids+=($load)
until_true served_by "4000 4001 4002" || die "not all three serve"
kill "${web[4001]}"
until_true served_by "4000 4002" || die "the one that ended is asked still"
start 4001
until_true served_by "4000 4001 4002" || die "the one that came back is not used"
grep -v 4002 "$here/lb.yaml" >"$work/lb.new"
mv "$work/lb.new" "$work/lb.yaml"
until_true served_by "4000 4001" || die "the one that left the file serves still"
echo 'services: [' >"$work/lb.yaml"
until_true grep -q '"reason":"Syntax"' "$work/up.log" || die "a broken edit is not said"
until_true served_by "4000 4001" || die "a broken edit changed what is served"
cp "$here/lb.yaml" "$work/lb.yaml"
until_true served_by "4000 4001 4002" || die "the one that is back in the file does not serve"
kill -TERM $load || die "the load has ended"
wait $load
[ "$(wc -l <"$work/load.txt")" -ge 300 ] || die "hardly any load"
failed=$(grep -c FAILED: "$work/load.txt")
echo "$(wc -l <"$work/load.txt") connections, $failed failed"
[ "$failed" -eq 0 ] || die "$(grep -m 3 FAILED: "$work/load.txt")"
