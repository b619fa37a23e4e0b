#!/usr/bin/env bash
# Does what README.md says, and meanwhile holds it to what it promises: under 200 new connections a second one process ends
# and comes back, one leaves the file and comes back, a broken edit is made, and one is drained. Run it by
# tests/support/own_loopback.sh: the ports are those of the file.   run.sh BUILD_FOLDER
set -u
build=$(cd "$1" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../tests/support/page.sh"
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
die() { echo "FAILED: $*"; tail -n 5 "$work"/*.log; exit 1; }
until_true() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
# Each of a dozen questions is answered by one of these, and each of these answers one.
served_by() { # "PORT PORT..."
  [ "$(for _ in $(seq 12); do curl -s -m 1 http://127.0.0.1:8080/; done | sort -u | tr '\n' ' ')" = "$1 " ]
}
is_told() { grep -qE "$1" "$work/told" || die "$2: $(cat "$work/told")"; }
open_page "$here/README.md" "$build" "$work"
file=examples/ports-4000-4002/lb.yaml
edit() { sed "$1" "$here/lb.yaml" >"$work/lb.new" && mv "$work/lb.new" "$file"; }

page 'for port in 4000 4001 4002' >"$work/web.log" 2>&1
page 'empalme validate' >"$work/told"
is_told '3 backends by address' "the file is wrong"
page 'empalme up' >"$work/up.log" 2>&1
until_true served_by "4000 4001 4002" || die "not all three serve"
page 'curl http' >"$work/told" 2>"$work/curl.log"
is_told '^400[012]$' "nobody answers"
page 'empalme status' >"$work/told"
is_told ' 3/3 .* serving$' "not shown as served"
exec {client}<>/dev/tcp/127.0.0.1/8080
until_true eval '"$build/empalme" flows | grep "file/web *tcp"' || die "nobody is connected"
page 'empalme flows' >"$work/told"
is_told '^[0-9]+ +file/web +tcp +127.0.0.1:[0-9]+ +127.0.0.1:400[012] ' "it is not shown who is connected to whom"
exec {client}>&-

"$build/empalme-demo-load" --target 127.0.0.1:8080 --rate 200 --seconds 120 --log "$work/load.txt" \
  >"$work/load.json" 2>"$work/load.log" &
load=$!
kill "$(pgrep --parent $$ -f -- '--name 4001')" || die "no process of 4001"
until_true served_by "4000 4002" || die "the one that ended is asked still"
build/empalme-demo-web --name 4001 --listen 127.0.0.1:4001 >>"$work/web.log" 2>&1 &
until_true served_by "4000 4001 4002" || die "the one that came back is not used"
edit /4002/d
until_true served_by "4000 4001" || die "the one that left the file serves still"
echo 'services: [' >"$file"
until_true grep -q '"reason":"Syntax"' "$work/up.log" || die "a broken edit is not said"
until_true served_by "4000 4001" || die "a broken edit changed what is served"
edit ''
until_true served_by "4000 4001 4002" || die "the one that is back in the file does not serve"
page 'drain --backend 127.0.0.1:4001' >"$work/told"
until_true served_by "4000 4002" || die "the one that is drained is asked still"
page 'drain --backend 127.0.0.1:4001 --lift' >"$work/told"
until_true served_by "4000 4001 4002" || die "the one whose drain is over is not used"

kill -TERM $load || die "the load has ended"
wait $load
[ "$(wc -l <"$work/load.txt")" -ge 300 ] || die "hardly any load"
failed=$(grep -c FAILED: "$work/load.txt")
echo "$(wc -l <"$work/load.txt") connections, $failed failed"
[ "$failed" -eq 0 ] || die "$(grep -m 3 FAILED: "$work/load.txt")"
page 'kill $(jobs -p)'
wait
end_page
