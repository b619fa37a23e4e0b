#!/usr/bin/env bash
# One listener of a file over two groups, 70:30: the pods of a Service and a server of the file's own.
# The shares hold, each group serves alone while the other has nobody, and what is served outlives an
# API server that is away, with a controller that starts meanwhile. Run by own_loopback.sh.
# Arguments: folder of the programs, of the tests.
set -u
own_network() { [ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ]; }
{ [ "$(id -u)" -eq 0 ] && own_network; } || { echo "needs root, for an address of its own"; exit 77; }
bin=$1 tests=$2
work=$(mktemp -d)
pids=()
trap 'kill -CONT "${pids[@]}" 2>/dev/null; kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
die() { echo "FAILED: $*"; tail -n 8 "$work"/*.log; exit 1; }
until_true() { for _ in $(seq 150); do "$@" && return 0; sleep 0.1; done; return 1; }
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
pod=198.51.100.1
ip address add $pod/32 dev lo || exit 1

start_web() { # NAME ADDRESS:PORT
  "$bin/empalme-demo-web" --name "$1" --listen "$2" >>"$work/$1.log" 2>&1 &
  web=$!
  pids+=($web)
}
vip=$(free_port) own=$(free_port)
start_web pod $pod:8080
start_web vm "127.0.0.1:$own"
vm=$web

python3 "$tests/support/fake_api_server.py" >"$work/port" 2>"$work/fake.log" &
fake=$!
pids+=($fake)
until_true test -s "$work/port"
api=http://127.0.0.1:$(cat "$work/port")
put() { curl -s -m 5 -X POST --data "$2" "$api/fake/put/$1" >/dev/null; }
cat >"$work/config" <<C
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "$api"}}]
users: [{name: u, user: {token: sesame}}]
C
put services '{"metadata":{"namespace":"d","name":"web","uid":"u-web","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"type":"ClusterIP","ports":[{"name":"http","port":80,"protocol":"TCP"}]}}'
slice() { # ENDPOINTS
  put slices "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web-1\",\"labels\":{\"kubernetes.io/service-name\":\"web\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":[$1]}"
}
slice "{\"addresses\":[\"$pod\"],\"conditions\":{\"ready\":true}}"
cat >"$work/lb.yaml" <<Y
services:
  - name: front
    listen: 127.0.0.1:$vip
    groups:
      - {name: cluster, weight: 70, service: kubernetes/d/web}
      - {name: vms, weight: 30, backends: "127.0.0.1:$own"}
Y

"$bin/empalme-dataplane" --admin "unix:$work/dp.sock" 2>"$work/dataplane.log" &
pids+=($!)
start_controller() {
  "$bin/empalme-controller" --source "file:$work/lb.yaml" --source kubernetes --pool 192.0.2.10-192.0.2.20 \
    --kubeconfig "$work/config" --dataplane "unix:$work/dp.sock" 2>>"$work/controller.log" &
  controller=$!
  pids+=($controller)
}
start_controller

answers() { for _ in $(seq "$1"); do curl -s -m 2 "http://127.0.0.1:$vip/"; done | sort | uniq -c; }
count() { awk -v name="$1" '$2 == name {print $1}' <<<"$got"; }
# 100 answers, so many of them a pod's, give or take what two workers' turns make.
shares() { # PODS
  got=$(answers 100)
  local pods=$(count pod) vms=$(count vm)
  [ $((${pods:-0} + ${vms:-0})) -eq 100 ] && [ $((${pods:-0} - $1)) -le 3 ] && [ $((${pods:-0} - $1)) -ge -3 ]
}
both() { got=$(answers 20); [ -n "$(count pod)" ] && [ -n "$(count vm)" ]; }
only() { got=$(answers 20); [ "$(count "$1")" = 20 ]; }

until_true both || die "both sources must serve: $got"
shares 70 || die "70:30 became $got"
slice ""
until_true only vm || die "without pods the file's own group must serve all: $got"
slice "{\"addresses\":[\"$pod\"],\"conditions\":{\"ready\":true}}"
until_true both || die "the pod that came back is not used: $got"
kill "$vm"
until_true only pod || die "without the file's own server the pods must serve all: $got"
start_web vm "127.0.0.1:$own"
until_true both || die "the server that came back is not used: $got"

kill -STOP $fake
shares 70 || die "while the API server is away 70:30 became $got"
kill "$controller"
wait "$controller" 2>/dev/null
start_controller
listed() { curl -s -m 5 --unix-socket "$work/dp.sock" localhost/v1/state | grep -q $pod; }
grown() { [ "$(grep -c 'source synced' "$work/controller.log")" -ge 3 ]; }
until_true grown || die "the new controller has not read the file"
for _ in 1 2 3; do
  listed || die "a controller that has not heard the cluster yet took its pods away"
  shares 70 || die "with a new controller and no API server 70:30 became $got"
done
kill -CONT $fake
sed -i 's/weight: 70/weight: 0/' "$work/lb.yaml"
until_true only vm || die "a weight changed live is not followed: $got"
echo "shares held: $(curl -s -m 5 --unix-socket "$work/dp.sock" localhost/metrics | grep -c '^empalme_group_connections_total') groups counted"
