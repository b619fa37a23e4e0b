#!/usr/bin/env bash
# The real data plane on a link of its own (two network namespaces): an address appears, is renewed,
# answers, guards the node's other ports, goes with its last connection, and dies with the process.
set -u
program=$1
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root for network namespaces"; exit 77; fi
work=$(mktemp -d)
node=lbn-$$ peer=lbp-$$
pids=()
broken=0
cleanup() {
  kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null
  ip netns del "$node" 2>/dev/null; ip netns del "$peer" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; tail -n 5 "$work"/*.log; broken=1; }

ip netns add "$node" && ip netns add "$peer" || exit 77
ip link add "v$$" netns "$node" type veth peer name eth0 netns "$peer"
ip -n "$node" link set "v$$" name eth0
for pair in "$node 1" "$peer 2"; do
  read -r ns last <<<"$pair"
  ip -n "$ns" addr add "192.0.2.$last/24" dev eth0
  ip -n "$ns" addr add "2001:db8::$last/64" dev eth0 nodad
  ip -n "$ns" link set eth0 up
  ip -n "$ns" link set lo up
done
on_node() { ip netns exec "$node" "$@"; }
on_peer() { ip netns exec "$peer" "$@"; }

mkdir "$work/web" && echo served >"$work/web/name"
ip netns exec "$node" python3 -m http.server 4000 --bind 127.0.0.1 --directory "$work/web" >"$work/web.log" 2>&1 &
pids+=($!)
ip netns exec "$node" python3 -m http.server 9999 --bind 0.0.0.0 --directory "$work/web" >"$work/other.log" 2>&1 &
pids+=($!)

state() { # GENERATION ADDRESS...
  local generation=$1 list=""
  shift
  for a in "$@"; do list+="${list:+,}\"$a\""; done
  if [ -z "$list" ]; then
    echo "{\"schema\":\"empalme.io/v1\",\"epoch\":1,\"generation\":$generation,\"services\":[]}"
  else
    echo "{\"schema\":\"empalme.io/v1\",\"epoch\":1,\"generation\":$generation,\"services\":[{\"key\":\"file/web\",\"addresses\":[$list],\"ports\":[{\"port\":80,\"backends\":[{\"address\":\"127.0.0.1\",\"port\":4000}]}]}]}"
  fi
}
put() { state "$@" | curl -s --unix-socket "$work/admin.sock" -X PUT -d @- localhost/v1/state; }
ask() { on_peer curl -g -s -m 2 "http://$1/name"; }
has() { ip -n "$node" -o addr show dev eth0 | grep -q " $1/32"; }
until_true() { for _ in $(seq 100); do "$@" && return 0; sleep 0.1; done; return 1; }
gone() { ! has "$1"; }
spares_avoided() { curl -s --unix-socket "$work/admin.sock" localhost/metrics | grep -q "^empalme_dataplane_spare_sources_avoided $1\$"; }
start() {
  ip netns exec "$node" "$program" --admin "unix:$work/admin.sock" --announce auto --spare-sources 192.0.2.101 --workers 2 --state-dir "$work/held" 2>>"$work/run.log" &
  running=$!
  pids+=("$running")
  until_true test -S "$work/admin.sock" || fail "no admin socket"
}

until_true on_node curl -s -o /dev/null http://127.0.0.1:4000/name || fail "no backend"
start
until_true curl -s -o /dev/null --unix-socket "$work/admin.sock" localhost/readyz
answer=$(put 1 192.0.2.100)
[[ $answer == *'"failed":[]'* ]] || fail "the first address: $answer"
has 192.0.2.100 || fail "acknowledged before the address was there"
[ "$(ask 192.0.2.100)" = served ] || fail "not reached over the link"
life=$(ip -n "$node" -o addr show dev eth0 | grep 192.0.2.100 | grep -o 'valid_lft [0-9]*' | cut -d' ' -f2)
[ "${life:-99}" -le 5 ] || fail "lives longer than 5 s by itself: $life"

if command -v nft >/dev/null; then
  until_true on_node nft list table inet empalme >/dev/null 2>&1 || fail "no packet filter"
  on_peer curl -s -o /dev/null -m 2 http://192.0.2.100:9999/name
  [ $? -eq 7 ] || fail "another port of the node is open on the address"
  [ "$(on_peer curl -s -m 2 http://192.0.2.1:9999/name)" = served ] || fail "the node's own address is shut"
fi

answer=$(put 2 192.0.2.2 192.0.2.100)
[[ $answer == *AddressInUseOnNetwork* ]] || fail "took the peer's address: $answer"
has 192.0.2.2 && fail "the peer's address is on the node"
[ "$(ask 192.0.2.100)" = served ] || fail "the other address stopped"

for _ in $(seq 65); do sleep 0.1; has 192.0.2.100 || { fail "not renewed"; break; }; done

answer=$(put 3 192.0.2.100 2001:db8::100 2001:db8::2)
[[ $answer == *'"address":"2001:db8::2"'*AddressInUseOnNetwork* ]] || fail "took the peer's IPv6 address: $answer"
[ "$(ask '[2001:db8::100]')" = served ] || fail "not reached by IPv6"

put 4 >/dev/null
until_true gone 192.0.2.100 || fail "the address stayed"
spares_avoided 0 || fail "a spare source is passed over that is not announced"
put 5 192.0.2.101 >/dev/null
spares_avoided 1 || fail "a spare source is dialled from although it is announced"
grep -q '"address":"192.0.2.101","reason":"Announced"' "$work/run.log" || fail "nothing said of the spare source"
[ "$(ask 192.0.2.101)" = served ] || fail "does not answer on a second address"

until_true grep -q 192.0.2.101 "$work/held/state.json" || fail "the state was not saved"
kill -9 "$running"; wait "$running" 2>/dev/null
for _ in $(seq 60); do has 192.0.2.101 || break; sleep 0.1; done
has 192.0.2.101 && fail "the address outlived the process by 6 s"

start
until_true has 192.0.2.101 || fail "not announced again from the saved state"
[ "$(ask 192.0.2.101)" = served ] || fail "not served again from the saved state"
spares_avoided 1 || fail "a spare source that is announced is dialled from after a restart"
kill "$running"; wait "$running"
has 192.0.2.101 && fail "the address stayed after SIGTERM"
if command -v nft >/dev/null; then
  on_node nft list table inet empalme >/dev/null 2>&1 && fail "the packet filter stayed after SIGTERM"
fi

# An image without nft, or with one that may not be run: served all the same, and told.
without_nft='for each in /usr/sbin/nft /sbin/nft /usr/bin/nft; do
  if [ -e "$each" ]; then mount --bind /dev/null "$each" || exit 99; fi
done
exec "$@"'
ip netns exec "$node" unshare --mount sh -c "$without_nft" sh "$program" --admin "unix:$work/bare.sock" --announce auto \
  2>"$work/bare.log" &
running=$!
pids+=("$running")
until_true test -S "$work/bare.sock" || fail "does not start without nft"
state 1 192.0.2.102 | curl -s --unix-socket "$work/bare.sock" -X PUT -d @- localhost/v1/state >/dev/null
[ "$(ask 192.0.2.102)" = served ] || fail "does not serve without nft"
unfiltered() { curl -s --unix-socket "$work/bare.sock" localhost/metrics | grep -q '^empalme_dataplane_filter_failures_total [1-9]'; }
until_true unfiltered || fail "an address without its packet filter is not counted"
grep -q 'nft cannot be run' "$work/bare.log" || fail "nothing is said of the packet filter"
kill "$running"; wait "$running"

state 1 192.0.2.101 >"$work/given.json"
timeout 20 ip netns exec "$node" "$program" --admin "unix:$work/given.sock" --announce auto --spare-sources 192.0.2.101 --state "$work/given.json" 2>"$work/given.log"
[ $? -eq 1 ] || fail "started with a spare source that its state announces"
grep -q 'spare-sources has 192.0.2.101' "$work/given.log" || fail "no reason is said"
exit $broken
