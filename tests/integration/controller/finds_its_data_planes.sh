#!/usr/bin/env bash
# A controller that makes its own certificates, finds two real data planes by the endpoints of a
# Service, and goes on through a stranger, a certificate that is renewed and a data plane that goes.
# Arguments: folder of the programs, of the tests.
set -u
bin=$1 tests=$2
work=$(mktemp -d)
pids=()
broken=0
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 15 "$work/controller.log"; broken=1; }
until_true() { for _ in $(seq 450); do "$@" && return 0; sleep 0.1; done; return 1; }
ports=$(python3 -c 'import socket
held = [socket.socket() for _ in range(3)]
for each in held: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))')
read -r port_a port_b port_x <<<"$ports"

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
slice() { # NAMESPACE SERVICE POD ADDRESS PORT-NAME PORT
  fake put/slices "{\"metadata\":{\"namespace\":\"$1\",\"name\":\"$2-$3\",\"labels\":{\"kubernetes.io/service-name\":\"$2\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"$5\",\"port\":$6,\"protocol\":\"TCP\"}],\"endpoints\":[{\"addresses\":[\"$4\"],\"conditions\":{\"ready\":true},\"targetRef\":{\"kind\":\"Pod\",\"name\":\"$3\"}}]}"
}
secret() { curl -s -m 5 "$api/api/v1/namespaces/lb/secrets/$1"; }
mount_secret() { # FOLDER [SECRET]: as a kubelet would, whole files at once
  mkdir -p "$1"
  secret "${2:-tls}" | python3 -c 'import base64, json, os, sys
for name, text in json.load(sys.stdin)["data"].items():
    path = os.path.join(sys.argv[1], name)
    with open(path + ".new", "wb") as file: file.write(base64.b64decode(text))
    os.rename(path + ".new", path)' "$1" 2>/dev/null
}
ask() { # PORT PATH FOLDER CERTIFICATE
  curl -s -m 5 --resolve "dataplane.empalme:$1:127.0.0.1" --cacert "$work/a/ca.crt" --cert "$3/$4.crt" \
    --key "$3/$4.key" "https://dataplane.empalme:$1$2"
}
holds() { ask "$1" /v1/state "$work/c" client | grep -q "$2"; }
both_hold() { holds "$port_a" "$1" && holds "$port_b" "$1"; }
said() { grep -q "$1" "$work/controller.log"; }
dataplane() { # NAME PORT
  mkdir -p "$work/state-$1"
  "$bin/empalme-dataplane" --admin "tcp:127.0.0.1:$2" --tls-cert "$work/$1/server.crt" \
    --tls-key "$work/$1/server.key" --tls-ca "$work/$1/ca.crt" --workers 1 \
    --state-dir "$work/state-$1" 2>"$work/dataplane-$1.log" &
  pids+=($!)
}

"$bin/empalme-controller" --source kubernetes --pool 198.18.0.0/16 --kubeconfig "$work/config" \
  --dataplane-service lb/dp --tls-secret lb/tls --admin "unix:$work/controller.sock" \
  2>"$work/controller.log" &
controller=$!
pids+=("$controller")
made() { secret tls | grep -q server.key; }
until_true made || fail "no certificates were made"
secret tls | grep -q ca.key && fail "what data planes mount holds the authority's key"
mount_secret "$work/a"
mount_secret "$work/b"
until_true mount_secret "$work/c" tls-client || fail "there is no certificate for controllers"
[ ! -e "$work/a/client.key" ] || fail "what data planes mount holds the key of controllers"
dataplane a "$port_a"
dataplane b "$port_b"
slice lb dp dp-a 127.0.0.1 admin "$port_a"
slice lb dp dp-b 127.0.0.1 admin "$port_b"
service web
slice d web web-1 10.0.0.1 http 8080
until_true both_hold 10.0.0.1 || fail "the Service did not reach both data planes"

ask "$port_a" /v1/state "$work/b" server | grep -q schema && fail "a data plane may give orders"
curl -s -m 5 -k "https://127.0.0.1:$port_a/v1/state" | grep -q schema && fail "anybody may ask"

ask "$port_a" /metrics "$work/c" client >"$work/refused"

# Of another authority, at an address that the cluster names: not spoken to.
mkdir -p "$work/x"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x \
  -addext subjectAltName=DNS:dataplane.empalme -keyout "$work/x/server.key" \
  -out "$work/x/server.crt" 2>/dev/null
cp "$work/x/server.crt" "$work/x/ca.crt"
dataplane x "$port_x"
slice lb dp dp-x 127.0.0.1 admin "$port_x"
until_true said '"dataplane":"dp-x","reason":"Tls"' || fail "a stranger is not named"
slice d web web-1 10.0.0.2 http 8080
until_true both_hold 10.0.0.2 || fail "a stranger keeps the others from being served"
fake delete/slices/lb/dp-dp-x

# Changes keep coming while certificates are replaced: none may be lost.
before=$(sha256sum <"$work/c/client.crt")
python3 - "$api" <<'P'
import json, sys, urllib.request
secrets = sys.argv[1] + "/api/v1/namespaces/lb/secrets"
for secret, name in (("tls", "server.crt"), ("tls-client", "client.crt")):
    thing = json.load(urllib.request.urlopen(f"{secrets}/{secret}"))
    del thing["data"][name]
    request = urllib.request.Request(secrets, json.dumps(thing).encode(), method="PUT")
    urllib.request.urlopen(request).read()
P
n=0
renewed() {
  n=$((n + 1))
  service "load-$n"
  slice d web web-1 "10.0.0.$((n % 200 + 3))" http 8080
  made && secret tls-client | grep -q client.crt && mount_secret "$work/a" && mount_secret "$work/b" &&
    mount_secret "$work/c" tls-client &&
    [ "$(sha256sum <"$work/c/client.crt")" != "$before" ]
}
until_true renewed || fail "certificates that are missing are not made anew"
slice d web web-1 10.0.0.250 http 8080
until_true both_hold 10.0.0.250 || fail "a change was lost while certificates were replaced"
holds_all() { [ "$(ask "$1" /v1/state "$work/c" client | grep -o 'kubernetes/d/load-' | wc -l)" -eq $n ]; }
for port in $port_a $port_b; do
  until_true holds_all "$port" || fail "of $n Services that came meanwhile some are not published"
done
echo "$n Services came while certificates were replaced"

fake delete/slices/lb/dp-dp-b
until_true said '"a data plane is no longer there","dataplane":"dp-b"' || fail "dp-b is still a member"
slice d web web-1 10.0.0.251 http 8080
until_true holds "$port_a" 10.0.0.251 || fail "the one that is left is not served"
holds "$port_b" 10.0.0.251 && fail "one that has gone is still published to"

key=$(sed -n 2p "$work/c/client.key")
cat "$work"/*.log >"$work/all.log"
grep -q -e PRIVATE -e "$key" -e sesame "$work/all.log" && fail "a secret stands in a log"
curl -s --unix-socket "$work/controller.sock" localhost/metrics >"$work/answers"
ask "$port_a" /v1/status "$work/c" client >>"$work/answers"
grep -q 'http_tls_failures_total{server="admin"} [1-9]' "$work/refused" || fail "refusals are not counted"
grep -q -e PRIVATE -e "$key" "$work/answers" "$work"/state-*/* && fail "a key stands in an answer"
grep -q 'empalme_controller_tls_secret_writes_total [3-9]' "$work/answers" || fail "renewals are not counted"
grep -q 'empalme_controller_tls_reloads_total [2-9]' "$work/answers" || fail "reloads are not counted"
grep -q 'publish_seconds_count{dataplane="dp-a"} [1-9]' "$work/answers" || fail "no publishing is timed"
grep -q 'sync_age_seconds{dataplane="dp-a"} 0$' "$work/answers" || fail "dp-a is said to be behind"
kill "$controller"; wait "$controller"
code=$?
[ $code -eq 0 ] || fail "SIGTERM must end with 0, got $code"
exit $broken
