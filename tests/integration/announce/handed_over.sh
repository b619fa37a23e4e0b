#!/usr/bin/env bash
# A machine with shared addresses (a network namespace, keepalived) changes its data plane by --handoff, again and
# again, under load from another one: no address may leave the interface, no connection or datagram may be lost.
#   handed_over.sh PATH/TO/empalme-dataplane [HANDOFFS]
set -u
program=$1 handoffs=${2:-5}
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root for network namespaces"; exit 77; fi
for tool in keepalived nft ip python3 pgrep; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
done
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
machine=ho1-$$ client=ho9-$$
vips=(192.0.2.100 192.0.2.101 2001:db8::100)
pids=() broken=0
cleanup() {
  kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  for ns in "$machine" "$client"; do ip netns del "$ns" 2>/dev/null; done
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; broken=1; }
until_true() { for _ in $(seq 100); do "$@" && return 0; sleep 0.1; done; return 1; }

ip netns add "$machine" && ip netns add "$client" || exit 77
ip link add eth0 netns "$machine" type veth peer name eth0 netns "$client"
number=1
for ns in "$machine" "$client"; do
  ip -n "$ns" addr add "192.0.2.$number/24" dev eth0
  ip -n "$ns" addr add "2001:db8::$number/64" dev eth0 nodad
  ip -n "$ns" link set lo up
  ip -n "$ns" link set eth0 up
  number=9
done

ip netns exec "$machine" python3 "$here/handed_over_load.py" --serve 4000 &
pids+=($!)
ports=
for protocol in tcp udp; do
  ports+="${ports:+,}{\"port\":80,\"protocol\":\"$protocol\",\"backends\":[{\"address\":\"127.0.0.1\",\"port\":4000}]}"
done
quoted=$(printf '"%s",' "${vips[@]}")
echo "{\"schema\":\"empalme.io/v1\",\"epoch\":1,\"generation\":1,\"services\":[{\"key\":\"file/web\",\"addresses\":[${quoted%,}],\"policy\":{\"udp_idle_s\":2},\"ports\":[$ports]}]}" >"$work/lb.json"
running=
start() { # NUMBER
  ip netns exec "$machine" "$program" --admin "unix:$work/admin.sock" --workers 1 --announce vrrp:eth0 \
    --vrrp-peers 192.0.2.1,192.0.2.2 --vrrp-routers 4 --handoff "$work/handoff.sock" \
    --state "$work/lb.json" --state-dir "$work/held" 2>"$work/run$1.log" &
  running=$!
  pids+=("$running")
}
metric() { # NAME
  curl -s --unix-socket "$work/admin.sock" localhost/metrics | awk -v n="empalme_dataplane_$1" '$1==n {print $2}'
}
serves() { [ "$(metric vrrp_addresses_held)" = "${#vips[@]}" ]; }
has_no_keepalived() { ! pgrep --parent "$1" keepalived >/dev/null; }
all_there() { for vip in "${vips[@]}"; do ip -n "$machine" -o addr show dev eth0 | grep -q " $vip/" || return 1; done; }

start 0
until_true serves && until_true all_there || fail "the addresses are not served"
ip netns exec "$client" python3 "$here/handed_over_load.py" 80 "${vips[@]}" >"$work/load" 2>"$work/load.err" &
load=$!
pids+=("$load")
until_true grep -q ready "$work/load" || fail "no load: $(tail -n 3 "$work/load.err")"
stdbuf -oL ip -n "$machine" -o monitor address >"$work/monitor" 2>/dev/null &
pids+=($!)

for number in $(seq "$handoffs"); do
  old=$running
  start "$number"
  until_true grep -q '"took over"' "$work/run$number.log" || fail "handoff $number: not taken over"
  until_true has_no_keepalived "$old" || fail "handoff $number: the keepalived before is still there"
  until_true serves || fail "handoff $number: the new process does not hold the addresses"
  all_there || fail "handoff $number: an address is missing"
  until_true test "$(metric vrrp_late_takeovers_total)" = 0 || fail "handoff $number: taken over late"
done

kill "$load"
wait "$load"
result=$(tail -n 1 "$work/load")
removed=$(grep -c '^Deleted.* eth0 ' "$work/monitor")
echo "$handoffs handoffs: $result, addresses removed: $removed"
field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$result" "$1"; }
for each in tcp_failed tcp_lost udp_lost kept_ended; do
  [ "$(field "$each")" = 0 ] || fail "$each: $(field "$each")"
done
[ "$(field tcp_ok)" -gt $((handoffs * 500)) ] || fail "hardly any load"
[ "$removed" = 0 ] || fail "an address left the interface: $(grep '^Deleted.* eth0 ' "$work/monitor" | head -n 3)"
# keepalived must know the addresses as its own: they go with it.
kill "$running"
wait "$running"
all_gone() { ! ip -n "$machine" -o addr show dev eth0 | grep -qE " (${vips[0]}|${vips[1]}|${vips[2]})/"; }
all_gone || fail "an address stayed behind: $(ip -n "$machine" -o addr show dev eth0)"
[ "$broken" = 0 ] || tail -n 8 "$work"/run*.log
exit $broken
