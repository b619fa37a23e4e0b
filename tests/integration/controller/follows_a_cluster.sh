#!/usr/bin/env bash
# The real controller and data plane beside an API server that drops, delays, expires, refuses and
# lies: what the cluster says arrives all the same. Arguments: folder of the programs, of the tests.
set -u
bin=$1 tests=$2
work=$(mktemp -d)
pids=()
broken=0
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 15 "$work/controller.log"; broken=1; }
until_true() { for _ in $(seq 150); do "$@" && return 0; sleep 0.1; done; return 1; }

python3 "$tests/support/fake_api_server.py" >"$work/port" 2>"$work/fake.log" &
pids+=($!)
until_true test -s "$work/port"
api=http://127.0.0.1:$(cat "$work/port")
fake() { curl -s -m 5 -X POST --data "${2:-}" "$api/fake/$1" >/dev/null; }
cat >"$work/config" <<C
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "$api"}}]
users: [{name: u, user: {token: sesame}}]
C
service() { fake put/services "{\"metadata\":{\"namespace\":\"d\",\"name\":\"$1\",\"uid\":\"u-$1\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"type\":\"LoadBalancer\",\"loadBalancerClass\":\"empalme.io/lb\",\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\"}]}}"; }
slice() { # SERVICE ADDRESS
  fake put/slices "{\"metadata\":{\"namespace\":\"d\",\"name\":\"$1-1\",\"labels\":{\"kubernetes.io/service-name\":\"$1\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":[{\"addresses\":[\"$2\"],\"conditions\":{\"ready\":true}}]}"
}
held() { curl -s -m 5 --unix-socket "$work/dp.sock" localhost/v1/state; }
holds() { held | grep -q "$1"; }
lacks() { ! holds "$1"; }
calls() { curl -s -m 5 "$api/fake/calls"; }
called() { calls | grep -q "$1"; }

"$bin/empalme-dataplane" --admin "unix:$work/dp.sock" 2>"$work/dataplane.log" &
pids+=($!)
"$bin/empalme-controller" --source kubernetes --pool 192.0.2.10-192.0.2.20 --kubeconfig "$work/config" \
  --dataplane "unix:$work/dp.sock" 2>"$work/controller.log" &
controller=$!
pids+=("$controller")

service web
slice web 10.0.0.1
until_true holds 10.0.0.1 || fail "the Service was not published: $(held)"
until_true called '"ip": "192.0.2.10"' || fail "no status was written"
called EnsuredLoadBalancer || until_true called EnsuredLoadBalancer || fail "no Event was sent"
# Not an address of this machine: refused by name, and said in the Service.
called empalme.io/AddressNotLocal || fail "ports[].error does not say that the address is not local"

fake drop
slice web 10.0.0.2
until_true holds 10.0.0.2 || fail "lost after dropped watches"
fake lie
slice web 10.0.0.3
until_true holds 10.0.0.3 || fail "lost after a broken line"
fake delete/slices/d/web-1
until_true lacks 10.0.0.3 || fail "a deletion was not seen"
fake expire
slice web 10.0.0.4
until_true holds 10.0.0.4 || fail "lost after 410"
fake status/503/1.5
slice web 10.0.0.5
holds 10.0.0.4 || fail "what was served went away with the API server"
until_true holds 10.0.0.5 || fail "lost after 503"
fake status/403/1
service late
until_true holds kubernetes/d/late || fail "lost after 403"
fake delay/0.3
slice late 10.0.0.9
until_true holds 10.0.0.9 || fail "lost behind a slow API server"
fake delay/0

fake put/services '{"metadata":{"namespace":"d","name":"late","uid":"u-late","deletionTimestamp":"2026-01-02T00:00:00Z","finalizers":["empalme.io/service","service.kubernetes.io/load-balancer-cleanup"]},"spec":{"type":"LoadBalancer","loadBalancerClass":"empalme.io/lb","ports":[{"name":"http","port":80}]}}'
until_true lacks kubernetes/d/late || fail "a deleted Service is still published"
gone() { ! curl -s "$api/api/v1/services" | grep -q '"late"'; }
until_true gone || fail "its finalizers were not taken off"

grep -q sesame "$work/controller.log" && fail "the token stands in the log"
kill "$controller"; wait "$controller"
code=$?
[ $code -eq 0 ] || fail "SIGTERM must end with 0, got $code"
holds 10.0.0.5 || fail "ending the controller took the services away"
exit $broken
