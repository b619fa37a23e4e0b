#!/usr/bin/env bash
# What both programs expose is what `promtool check metrics` (Debian: prometheus) finds good, with
# services there; and the series of a service go when it goes. Argument: the folder of the programs.
# Ends with 77, which ctest shows as skipped, where there is no promtool.
set -u
bin=$1
command -v promtool >/dev/null || { echo "skipped: no promtool (Debian package prometheus)"; exit 77; }
work=$(mktemp -d)
pids=()
broken=0
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/up.log"; broken=1; }
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
until_true() { for _ in $(seq 150); do "$@" && return 0; sleep 0.1; done; return 1; }
answers() { [ -n "$(curl -s -m 2 "http://127.0.0.1:$1/")" ]; }
scrape() { curl -s -m 5 "http://127.0.0.1:$1/metrics"; }
check() { # NAME PORT
  scrape "$2" >"$work/$1.txt"
  [ "$(grep -c '^# TYPE' "$work/$1.txt")" -ge 10 ] || fail "$1 shows too little"
  promtool check metrics <"$work/$1.txt" >"$work/$1.said" 2>&1 || fail "$1: $(cat "$work/$1.said")"
  [ -s "$work/$1.said" ] && fail "$1: $(cat "$work/$1.said")"
}
series() { scrape "$seen" | grep -v '^#' | grep -c "\"file/$1\""; }

web=$(free_port) other=$(free_port) udp=$(free_port) one=$(free_port) split=$(free_port)
seen=$(free_port) seen_too=$(free_port)
"$bin/empalme-demo-web" --name one --listen "127.0.0.1:$one" >"$work/one.log" 2>&1 &
pids+=($!)
service() { # NAME PORT [PROTOCOL]
  printf '  - key: file/%s\n    addresses: [127.0.0.1]\n    ports:\n' "$1"
  printf '      - {port: %s, protocol: %s, backends: [{address: 127.0.0.1, port: %s}],\n' "$2" "${3:-tcp}" "$one"
  printf '         policy: {health: {type: %s}}}\n' "$([ "${3:-tcp}" = tcp ] && echo tcp || echo none)"
}
service_in_groups() { # NAME PORT; a client more in a second is refused
  printf '  - key: file/%s\n    addresses: [127.0.0.1]\n    ports:\n' "$1"
  printf '      - {port: %s, groups: [{name: blue, weight: 9}, {name: green, weight: 0}],\n' "$2"
  printf '         backends: [{address: 127.0.0.1, port: %s, group: blue}],\n' "$one"
  printf '         policy: {max_rate_per_source: 1}}\n'
}
{ echo 'services:'; service web "$web"; service other "$other"; service questions "$udp" udp
  service_in_groups split "$split"; } >"$work/lb.yaml"
"$bin/empalme" up --source "file:$work/lb.yaml" --socket-dir "$work/run" \
  --observe "127.0.0.1:$seen" --observe-controller "127.0.0.1:$seen_too" >"$work/up.log" 2>&1 &
pids+=($!)
until_true answers "$web" && until_true answers "$other" || fail "does not serve the file"
until_true answers "$seen_too/metrics" || fail "the controller shows nothing"
refused() { answers "$split"; scrape "$seen" | grep -q '^empalme_service_limit_refused_total.*limit="rate"'; }
until_true refused || fail "no client was refused"
check dataplane "$seen"
for series in empalme_group_weight empalme_service_limit_refused_total; do
  grep -q "^$series{service=\"file/split\"" "$work/dataplane.txt" || fail "$series is not shown"
done
check controller "$seen_too"

[ "$(series other)" -gt 0 ] || fail "a service has no series"
all=$(scrape "$seen" | grep -vc '^#')
{ echo 'services:'; service web "$web"; } >"$work/lb.yaml"
gone() { [ "$(series other)" -eq 0 ] && [ "$(series questions)" -eq 0 ]; }
until_true gone || fail "series of services that are gone: $(series other) and $(series questions)"
[ "$(series web)" -gt 0 ] || fail "the service that stays lost its series"
left=$(scrape "$seen" | grep -vc '^#')
[ "$left" -lt "$all" ] || fail "$all series before, $left after two services went"
for round in 1 2 3 4 5; do # services that come and go leave nothing behind
  { echo 'services:'; service web "$web"; service "guest$round" "$other"; } >"$work/lb.yaml"
  until_true answers "$other" || fail "guest $round is not served"
  { echo 'services:'; service web "$web"; } >"$work/lb.yaml"
  none() { [ "$(series "guest$round")" -eq 0 ]; }
  until_true none || fail "guest $round left series"
done
now=$(scrape "$seen" | grep -vc '^#')
[ "$now" -le "$left" ] || fail "$left series became $now"
check dataplane "$seen"
exit $broken
