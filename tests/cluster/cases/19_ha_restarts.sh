# The API server and both controllers are killed at once, under load and churn: traffic and addresses stay.
ha_up || return
addresses=$(ha_addresses)
vip=$(service_ip ha)
until_true 90 pods_are_ready web 3 || fail "the sample's pods are not ready"
load restarts --target "$vip:80" --rate 200 --seconds 200 --concurrency 50

# Services that come, change and go until they are told to stop: killed, a kubectl of theirs would
# go on, and make again what was deleted since.
enough=$(mktemp -u)
churn() {
  local i
  for i in $(seq 100); do
    [ ! -e "$enough" ] || break
    make_service churn-$((i % 3)) "$((8300 + i))" <<<"  loadBalancerClass: empalme.io/lb"
    [ $((i % 3)) -eq 0 ] && kubectl delete service churn-1 --wait=false --ignore-not-found >/dev/null
    sleep 0.1
  done 2>/dev/null
}
churn &
churning=$!
sleep 2
made=$(kubectl get services -o name | grep -c churn)
[ "$made" -gt 0 ] || fail "no churn: the case shows less than it says"
# This pod ends while nobody can say so to the data planes.
kubectl delete pod "$(first_pod web)" --wait=false >/dev/null

old=$(lease_holder) epoch=$(epoch_on n1)
pids=$(for pod in $(system get pods -l "$ha_selector" -o jsonpath='{.items[*].metadata.name}'); do system_pids "$pod" empalme-controller; done)
[ "$(wc -w <<<"$pids")" -eq 2 ] || fail "not two controllers: $pids"
moment=$(milliseconds)
# shellcheck disable=SC2086
kill -9 $pids "$(pid_of apiserver)"
end apiserver KILL
sleep 3
start_apiserver
until_true 60 kubectl get --raw /readyz || fail "the API server did not return"
back=$(milliseconds)

new_leader() { local now; now=$(lease_holder); [ -n "$now" ] && [ "$now" != "$old" ] && epochs_above "$epoch"; }
until_true 40 new_leader || fail "nobody leads with an epoch above $epoch: $(epoch_on n1) and $(epoch_on n2)"
took=$(($(milliseconds) - back))
make_service after 84 <<<"  loadBalancerClass: empalme.io/lb"
until_true 10 has_address after || fail "no address for a Service that was made after all had restarted"
until_true 5 answers "$(service_ip after)" 84 || fail "the Service that was made after all had restarted is not served"
figure "with $made Services that come and go: another leads $took ms after the API server was back, $(($(milliseconds) - moment)) ms after the kill a Service made since is served"
# The Lease of the dead leader runs out within 15 s; the kubelet's pause before it starts a container again is its own.
[ "$took" -le 32000 ] || fail "later than Lease and kubelet allow"

touch "$enough"
wait "$churning"
rm "$enough"
kubectl delete service after churn-0 churn-1 churn-2 --ignore-not-found --timeout=30s >/dev/null || fail "a Service hangs in Terminating"
until_true 60 controllers_ready || fail "not two controllers again"
end_load restarts
expect_no_failures restarts
[ "$(ha_addresses)" = "$addresses" ] || fail "addresses changed: $addresses, now $(ha_addresses)"
kubernetes_afresh
