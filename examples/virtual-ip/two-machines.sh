#!/usr/bin/env bash
# One address, two machines (network namespaces on one bridge), no cluster: each runs what README.md says. The
# machine that holds the address is taken away in five ways, and upgraded in place, while a client connects
# again and again.
# Prints, for each way, how long new connections failed and how long two machines answered ARP at once.
#   two-machines.sh PATH/TO/empalme-dataplane [ADVERT_MS] [--goals]
# With --goals it fails where new connections failed for longer than VRRP needs to see that a machine is
# gone, or two machines answered for longer than an advert takes: for a machine that does nothing else.
set -u
build=$(cd "$(dirname "$1")" && pwd) || exit 2
advert=${2:-200} goals=${3:-}
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root for network namespaces"; exit 77; fi
for tool in keepalived nft ip python3; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
done
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../tests/support/page.sh"
work=$(mktemp -d)
vip=192.0.2.100
wire=vw-$$ m1=v1-$$ m2=v2-$$ client=vc-$$
pids=() broken=0
cleanup() {
  kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null
  for ns in "$m1" "$m2" "$client" "$wire"; do ip netns del "$ns" 2>/dev/null; done
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*"; tail -n 4 "$work"/run*.log "$work/watch.log" 2>/dev/null; broken=1; }
until_true() { for _ in $(seq 150); do "$@" && return 0; sleep 0.1; done; return 1; }

ip netns add "$wire" || exit 77
ip -n "$wire" link add br0 type bridge
ip -n "$wire" link set br0 up
plug() { # NAMESPACE NUMBER
  ip netns add "$1"
  ip link add "e$2-$$" netns "$wire" type veth peer name eth0 netns "$1"
  ip -n "$wire" link set "e$2-$$" master br0 up
  ip -n "$1" addr add "192.0.2.$2/24" dev eth0
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
  # Where lb.json has its backend: on each machine another one.
  ip -n "$1" addr add 10.0.0.5/32 dev lo
}
plug "$m1" 1; plug "$m2" 2; plug "$client" 9

namespace() { [ "$1" = 1 ] && echo "$m1" || echo "$m2"; }
serve() { # MACHINE: its backend says which machine it is
  mkdir -p "$work/web$1" && echo "machine $1" >"$work/web$1/name"
  ip netns exec "$(namespace "$1")" python3 -m http.server 8080 --bind 10.0.0.5 \
    --directory "$work/web$1" >"$work/web$1.log" 2>&1 &
  pids+=($!)
}
declare -A running
on() { # MACHINE COMMAND: in place of this shell, on a machine with /run and /var/lib of its own
  local its=$work/machine$1
  mkdir -p "$its/run" "$its/lib"
  export EMPALME_HANDOFF=$work/handoff$1.sock
  exec ip netns exec "$(namespace "$1")" bash -c \
    "mount --bind '$its/run' /run && mount --bind '$its/lib' /var/lib && exec $2"
}
start() { # MACHINE
  (on "$1" "$balance" 2>>"$work/run$1.log") &
  running[$1]=$!
  pids+=($!)
}
holds() { ip -n "$(namespace "$1")" -o addr show dev eth0 | grep -q " $vip/32"; }
lacks() { ! holds "$1"; }
answers() { [ "$(ip netns exec "$client" curl -s -m 1 "http://$vip/name")" = "machine $1" ]; }
metric() { # MACHINE NAME
  curl -s --unix-socket "$work/machine$1/run/empalme/dataplane.sock" localhost/metrics | awk -v n="$2" '$1==n {print $2}'
}
owner() { if holds 1; then echo 1; elif holds 2; then echo 2; fi; }
one_owner() { [ "$(holds 1 && echo 1)$(holds 2 && echo 2)" = "${1:-$(owner)}" ] && [ -n "$(owner)" ]; }
keepalived_of() { cat "$work/machine$1/lib/empalme/vrrp/keepalived.pid"; }

# The new process ends while the old one's keepalived still runs beside its own.
upgrade_and_kill() { # MACHINE
  local before
  before=$(grep -c '"took over"' "$work/run$1.log")
  start "$1"
  until_true eval '[ "$(grep -c "\"took over\"" "$work/run'"$1"'.log")" -gt '"$before"' ]' || fail "not taken over"
  until_true pgrep --parent "${running[$1]}" keepalived >/dev/null || fail "no keepalived of the new process"
  kill -9 "${running[$1]}"
}
take_away() { # WHAT MACHINE
  case $1 in
    data_plane_killed) kill -9 "${running[$2]}" ;;
    link_cut) ip -n "$wire" link set "e$2-$$" nomaster ;;
    keepalived_killed) kill -9 -- "-$(keepalived_of "$2")" ;;
    data_plane_stopped) kill "${running[$2]}" ;;
    upgrade_killed) upgrade_and_kill "$2" ;;
  esac
}
give_back() { # WHAT MACHINE
  case $1 in
    link_cut) ip -n "$wire" link set "e$2-$$" master br0 ;;
    keepalived_killed) ;;
    *) wait "${running[$2]}" 2>/dev/null; start "$2" ;;
  esac
}

open_page "$here/README.md" "$build" "$work"
# What the page leaves to the defaults: with /run of its own, a machine has the default.
unset EMPALME_ADMIN
export EMPALME_WORKERS=1 EMPALME_VRRP_ADVERT_MS=$advert
skip_in_page 'apt-get install'
page 'cd examples/virtual-ip'
take_from_page 'empalme-dataplane --announce vrrp:eth0'
balance=$page_command
serve 1; serve 2; start 1; start 2
# Every router is where it is preferred: nothing is on its way any more.
priorities() { awk '$1=="priority" {print $2}' "$work/machine$1/lib/empalme/vrrp/keepalived.conf"; }
masters() { # MACHINE: for each router, 2 if it is master there
  curl -s --unix-socket "$work/machine$1/run/empalme/dataplane.sock" localhost/metrics |
    awk '/^empalme_dataplane_vrrp_router_state/ {print $2}'
}
settled() {
  local other
  for machine in 1 2; do
    other=$((3 - machine))
    [ "$(masters $machine)" = "$(paste <(priorities $machine) <(priorities $other) |
      awk '{print ($1 > $2 ? 2 : 1)}')" ] || return 1
  done
}
priority() { # MACHINE: its priority for the router of the address
  awk -v vip="$vip/32" '$1=="priority" {p=$2} $1==vip {print p}' "$work/machine$1/lib/empalme/vrrp/keepalived.conf"
}
until_true test -s "$work/machine1/lib/empalme/vrrp/keepalived.conf" -a -s "$work/machine2/lib/empalme/vrrp/keepalived.conf"
first=1
[ "$(priority 2)" -gt "$(priority 1)" ] && first=2
until_true one_owner "$first" || fail "the preferred machine does not hold the address alone"
until_true settled || fail "a router is not on the machine that it prefers"
until_true answers "$first" || fail "the client is not served"
take_from_page 'ip -brief address'
(on "$first" "$page_command") | grep -q " $vip/32" || fail "the page's command does not show the address"
take_from_page 'vrrp_addresses_held'
for machine in 1 2; do
  (on $machine "$page_command") | grep -qx "empalme_dataplane_vrrp_addresses_held $((machine == first))" ||
    fail "the page's command does not say who has the address"
done
end_page

# Three adverts are missed, and up to a quarter of one is the skew of a priority of 200 or more (RFC 9568,
# section 6.1); the rest is ours. 1 s with adverts each 200 ms, 3.5 s with adverts each second.
judge() { # WHAT GAP OVERLAP
  awk -v gap="$2" -v both="$3" -v advert="$advert" 'BEGIN {
    exit !(gap <= 0.375 + 3.125 * advert / 1000 && both <= advert / 1000) }' || fail "$1: longer than its goal"
}

watching=
watch() { # WHAT
  ip netns exec "$client" python3 "$here/watch.py" "$vip" 80 eth0 9 >"$work/watch" 2>>"$work/watch.log" &
  watching=$!
  until_true grep -q ready "$work/watch" || fail "$1: no watcher"
}
case_of() { # WHAT
  local held other
  held=$(owner) other=$((3 - held))
  watch "$1"
  take_away "$1" "$held"
  until_true holds "$other" || fail "$1: the other machine did not take the address over"
  [ "$1" = link_cut ] || until_true lacks "$held" || fail "$1: the machine that lost its router kept the address"
  until_true answers "$other" || fail "$1: the other machine does not serve"
  wait "$watching" || fail "$1: $(tail -n 1 "$work/watch")"
  echo "$1: $(tail -n 1 "$work/watch") (adverts each $advert ms)"
  # A process that is killed at the moment of its handoff is another matter: nobody is left to give up.
  [ "$goals" != --goals ] || [ "$1" = upgrade_killed ] || judge "$1" $(tail -n 1 "$work/watch" |
    sed -E 's/.* ([0-9.]+) s, .* ([0-9.]+) s, .*/\1 \2/')
  tail -n 1 "$work/watch" | awk '{for (i = 1; i < NF; i++) if ($i == "ARP") exit $(i + 2) > 1}' || fail "$1: two answered for too long"
  give_back "$1" "$held"
  # The preferred machine comes back by itself, and only one holds the address then.
  until_true one_owner "$first" || fail "$1: not back on machine $first"
  until_true settled || fail "$1: a router is not on the machine that it prefers"
  until_true answers "$first" || fail "$1: not served after the return"
}
for way in data_plane_killed link_cut keepalived_killed data_plane_stopped upgrade_killed; do
  case_of "$way"
done

# A second process with the same --handoff takes over; the other machine must not notice.
ended() { ! kill -0 "$1" 2>/dev/null; }
is_master() { [ "$(metric "$1" empalme_dataplane_vrrp_addresses_held)" = 1 ]; }
upgrade() {
  local held=$first other=$((3 - first)) old=${running[$first]} before
  before=$(metric "$other" empalme_dataplane_vrrp_transitions_total)
  watch data_plane_upgraded
  start "$held"
  until_true ended "$old" || fail "upgrade: the old process did not end"
  until_true is_master "$held" || fail "upgrade: the new process does not hold the router"
  wait "$watching" || fail "upgrade: $(tail -n 1 "$work/watch")"
  echo "data_plane_upgraded: $(tail -n 1 "$work/watch") (adverts each $advert ms)"
  grep -q 'machines seen 1$' "$work/watch" || fail "upgrade: the address went to the other machine"
  [ "$(metric "$other" empalme_dataplane_vrrp_transitions_total)" = "$before" ] || fail "upgrade: a router changed its machine"
  until_true settled || fail "upgrade: a router is not on the machine that it prefers"
  one_owner "$held" || fail "upgrade: the address is not held by machine $held alone"
  [ "$(pgrep -c --parent "${running[$held]}" keepalived)" = 1 ] || fail "upgrade: not one keepalived"
}
upgrade

until_true test "$(metric "$first" empalme_dataplane_vrrp_addresses_held)" = 1 || fail "the metric does not say who holds the address"
[ "$(metric "$((3 - first))" empalme_dataplane_vrrp_addresses_held)" = 0 ] || fail "both say that they hold the address"
ip netns exec "$(namespace "$((3 - first))")" nft list table inet empalme >/dev/null || fail "no packet filter on the machine that stands by"
life=$(ip -n "$(namespace "$first")" -o addr show dev eth0 | grep "$vip" | grep -o 'valid_lft [0-9]*' | cut -d' ' -f2)
[ "${life:-99}" -le 5 ] || fail "the address would outlive everything: $life"
exit $broken
