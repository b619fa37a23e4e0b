# What a leader sent and the network held back arrives when another leads: it is refused.
ha_up || return
addresses=$(ha_addresses)
old=$(lease_holder) frozen=$(leader) epoch=$(epoch_on n1)
node=$(pod_node "$frozen")
target=$(other_node "$node")
outdated() { local n; n=$(metric "$target" 'empalme_dataplane_changes_refused_total{reason="Order"}'); echo "${n:-0}"; }
refused_since() { [ "$(outdated)" -gt "$1" ]; }

# Whoever writes to the other node's data plane gets through with what fits a packet, on connections that are kept too:
# handshakes, questions and small changes do.
hold_pushes() {
  in_ns "$node" nft -f - <<'N'
table inet late_push {
  chain hold { type filter hook forward priority -10; tcp dport 9903 meta length > 1400 counter drop; }
}
N
}
push_is_held() { in_ns "$node" nft -j list table inet late_push | jq -e '[.. | .packets? // empty] | add > 0'; }
let_pushes_go() { in_ns "$node" nft delete table inet late_push; }
# Thirty ports and the pods of each: some 12 KB, more than may pass and less than a socket takes at once.
large_service() {
  local port
  printf 'apiVersion: v1\nkind: Service\nmetadata: {name: large}\nspec:\n  type: LoadBalancer\n'
  printf '  loadBalancerClass: empalme.io/lb\n  selector: {app: web}\n  ports:\n'
  for port in $(seq 8401 8430); do printf '    - {name: p%s, port: %s, targetPort: 8080}\n' "$port" "$port"; done
}

load late --target "$(service_ip ha):80" --rate 100 --seconds 100 --concurrency 50
before=$(outdated)
hold_pushes
large_service | kubectl apply -f - >/dev/null
until_true 10 push_is_held || fail "no push was held back: the case shows nothing"
pid=$(system_pids "$frozen" empalme-controller)
kill -STOP "$pid"
# As if it had resigned, so that nobody need wait for the Lease to run out.
system patch lease empalme --type=merge -p '{"spec":{"holderIdentity":""}}' >/dev/null
leads_now() { local now; now=$(lease_holder); [ -n "$now" ] && [ "$now" != "$old" ] && epochs_above "$epoch"; }
until_true 20 leads_now || fail "nobody leads in place of the frozen one"
now=$(epoch_on "$target")
[ "$(outdated)" -eq "$before" ] || fail "something was refused before the push went on: the case shows nothing"

let_pushes_go
moment=$(milliseconds)
until_true 28 refused_since "$before" || fail "the late push was not refused"
figure "a push of epoch $epoch arrived $(($(milliseconds) - moment)) ms after the network let it go, with epoch $now held: refused"
[ "$(epoch_on "$target")" -eq "$now" ] || fail "epoch $(epoch_on "$target") on $target"
kill -CONT "$pid"
not_leading() { [ "$(leading_on "$(system get pod "$frozen" -o jsonpath='{.status.podIP}')")" = 0 ]; }
until_true 10 not_leading || fail "the frozen one still leads"
[ "$(epoch_on n1)" -eq "$now" ] && [ "$(epoch_on n2)" -eq "$now" ] || fail "the one that woke up has published"
until_true 75 has_address large || fail "the new leader does not serve what the old one had sent"
until_true 5 answers "$(service_ip large)" 8430 || fail "the Service of the late push is not served"
kubectl delete service large --timeout=30s >/dev/null || fail "a Service hangs in Terminating"
until_true 60 controllers_ready || fail "not two controllers again"
end_load late
expect_no_failures late
[ "$(ha_addresses)" = "$addresses" ] || fail "addresses changed: $addresses, now $(ha_addresses)"
