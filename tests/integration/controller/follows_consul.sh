#!/usr/bin/env bash
# Follows a real Consul agent with ACLs, from registration to the loss of its token, its stalling
# and its restart, under connections that must not fail. In a network namespace of its own. Prints
# how long each change took. Ends with 77, which ctest shows as skipped, without a Consul.
#   follows_consul.sh BUILD_FOLDER TESTS_FOLDER
set -u
build=$1 tests=$2
[ "$(id -u)" -eq 0 ] || { echo "skipped: needs root for a network namespace"; exit 77; }
for tool in unshare ip curl python3; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
done
if [ "${3:-}" != within ]; then
  source "$tests/support/consul.sh"
  unpack_consul "$build/consul" || { echo "skipped: Debian 11's package consul cannot be had"; exit 77; }
  exec unshare --net "$0" "$build" "$tests" within
fi
PATH=$PATH:/usr/sbin
ip link set lo up || exit 77
work=$(mktemp -d)
pids=()
cleanup() {
  rm -f "$work/loading"
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null; kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
die() { echo "FAILED: $*"; tail -n 8 "$work"/*.log; exit 1; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
now() { date +%s%3N; }

root_token=6f1d0cbe-7b0c-4f6b-9a5e-0d4a4f1f9c01
api=http://127.0.0.1:8500/v1
consul() { # METHOD PATH [BODY]
  curl -sf -m 5 -H "X-Consul-Token: $root_token" -X "$1" "$api$2" ${3:+-d "$3"}
}
cat >"$work/consul.json" <<JSON
{"server": true, "bootstrap_expect": 1, "data_dir": "$work/data", "bind_addr": "127.0.0.1",
 "client_addr": "127.0.0.1", "disable_update_check": true, "performance": {"raft_multiplier": 1},
 "acl": {"enabled": true, "default_policy": "deny",
         "tokens": {"master": "$root_token", "agent": "$root_token", "default": ""}}}
JSON
start_consul() {
  "$build/consul/usr/bin/consul" agent -config-file "$work/consul.json" >>"$work/consul.log" 2>&1 &
  agent=$!
  pids+=($agent)
}
start_consul
make_policy() {
  consul PUT /acl/policy '{"Name": "empalme",
    "Rules": "service_prefix \"\" { policy = \"read\" } node_prefix \"\" { policy = \"read\" }"}'
}
until_true make_policy || die "Consul takes no policy"
make_token() { # prints "ACCESSOR SECRET"
  consul PUT /acl/token '{"Policies": [{"Name": "empalme"}]}' |
    python3 -c 'import json, sys; t = json.load(sys.stdin); print(t["AccessorID"], t["SecretID"])'
}
read -r accessor secret < <(make_token)
echo "$secret" >"$work/token"

for name in a b c; do
  "$build/empalme-demo-web" --name "$name" --listen "127.0.0.1:$((9000 + $(printf '%d' "'$name")))" \
    >"$work/web-$name.log" 2>&1 &
  pids+=($!)
done
register() { # NAME [EXTRA MEMBERS]
  consul PUT /agent/service/register '{"ID": "web-'"$1"'", "Name": "web", "Address": "127.0.0.1",
    "Port": '$((9000 + $(printf '%d' "'$1")))', "Tags": ["empalme.enable=true", "empalme.tcp.8080",
    "empalme.tcp.8080.address=127.0.0.1"'"${3:-}"'],
    "Check": {"TTL": "1h", "Status": "passing"}'"${2:-}"'}' || die "web-$1 is not registered"
}
check() { consul PUT "/agent/check/update/service:web-$1" '{"Status": "'"$2"'"}' || die "no check of $1"; }

export EMPALME_CONSUL_TOKEN_FILE=$work/token
"$build/empalme" up --source consul --socket-dir "$work/run" --state-dir "$work/state" --workers 1 \
  >"$work/empalme.log" 2>&1 &
pids+=($!)
backends() { # "a ready 1,b draining 1": name, state and weight of each
  curl -s -m 2 --unix-socket "$work/run/dataplane.sock" http://localhost/v1/state | python3 -c '
import json, sys
services = [s for s in json.load(sys.stdin)["services"] if s["key"] == "consul/web"]
backends = services[0]["ports"][0]["backends"] if services else []
print(",".join("%s %s %s" % (b["name"][4:], b.get("state", "ready"), b.get("weight", 1))
               for b in sorted(backends, key=lambda b: b["name"])))'
}
holds() { [ "$(backends)" = "$1" ]; }
becomes() { # WHAT BACKENDS
  local begin
  begin=$(now)
  until_true holds "$2" || die "$1: not '$2' but '$(backends)'"
  echo "$1: $(($(now) - begin)) ms"
}
stale() {
  curl -s -m 2 --unix-socket "$work/run/controller.sock" http://localhost/metrics |
    grep -qx "empalme_controller_sources_stale $1" &&
    [ "$(curl -s -m 2 --unix-socket "$work/run/controller.sock" http://localhost/readyz | grep -c 'ok, but stale: consul/')" = "$1" ]
}
becomes_stale() { # WHAT 0|1
  local begin
  begin=$(now)
  until_true stale "$2" || die "$1: the source is not $([ "$2" = 1 ] && echo stale || echo fresh)"
  begin=$(($(now) - begin))
  echo "$1: $([ "$2" = 1 ] && echo stale || echo fresh) after $begin ms"
  [ "$begin" -lt 10000 ] || die "$1: later than 10 s"
}

register a
becomes "the first instance" "a ready 1"
register b ', "Weights": {"Passing": 10, "Warning": 2}'
becomes "another, with weights" "a ready 1,b ready 10"
check b warning
becomes "warning" "a ready 1,b ready 2"
check b critical
becomes "critical" "a ready 1,b not_ready 10"
check b passing
becomes "passing" "a ready 1,b ready 10"
consul PUT '/agent/service/maintenance/web-b?enable=true&reason=test' || die "no maintenance"
becomes "maintenance of a service" "a ready 1,b draining 10"
consul PUT '/agent/service/maintenance/web-b?enable=false' || die "maintenance does not end"
consul PUT '/agent/maintenance?enable=true' || die "no maintenance of the node"
becomes "maintenance of the node" "a draining 1,b draining 10"
consul PUT '/agent/maintenance?enable=false' || die "maintenance of the node does not end"
becomes "none" "a ready 1,b ready 10"
register c '' ', "empalme.tcp.8080.weight=7"'
becomes "a third, its weight by tag" "a ready 1,b ready 10,c ready 7"
consul PUT /agent/service/deregister/web-c || die "web-c stays"
becomes "deregistered" "a ready 1,b ready 10"

asks() { curl -sf -m 2 -o "$work/answer" http://127.0.0.1:8080/; }
until_true asks || die "nothing is served"
{ # Ends with the file.
  touch "$work/loading"
  while [ -e "$work/loading" ]; do
    curl -sf -m 2 -o /dev/null http://127.0.0.1:8080/ && echo ok || echo lost
    sleep 0.02
  done
} >"$work/load" 2>/dev/null &
load=$!

consul DELETE "/acl/token/$accessor" >/dev/null || die "the token stays"
becomes_stale "token deleted" 1
holds "a ready 1,b ready 10" || die "token deleted: $(backends)"
read -r accessor secret < <(make_token)
echo "$secret" >"$work/token"
becomes_stale "another token" 0

kill -STOP "$agent"
becomes_stale "agent stalled" 1
holds "a ready 1,b ready 10" || die "agent stalled: $(backends)"
kill -CONT "$agent"
becomes_stale "agent goes on" 0

kill -9 "$agent"
wait "$agent" 2>/dev/null
becomes_stale "agent killed" 1
holds "a ready 1,b ready 10" || die "agent killed: $(backends)"
start_consul
becomes_stale "agent restarted" 0
holds "a ready 1,b ready 10" || die "agent restarted: $(backends)"
registers() { (register c) }
until_true registers || die "the new agent registers nobody"
becomes "a third with the new agent" "a ready 1,b ready 10,c ready 1"

rm "$work/loading"
wait "$load"
lost=$(grep -c lost "$work/load")
echo "$(grep -c ok "$work/load") requests answered, $lost lost"
[ "$lost" -eq 0 ] || die "requests were lost"
grep -qF -e "$secret" -e "$root_token" "$work/empalme.log" && die "the token is in the log"
exit 0
