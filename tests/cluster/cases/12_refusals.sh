# What cannot be done is refused with its reason, and others are not disturbed.
vip=$(service_ip web)
# As the README says: edit the ConfigMap, restart the Deployment.
set_pool() {
  kubectl -n empalme-system patch configmap empalme --type=merge -p "{\"data\":{\"pool\":\"$1\"}}" >/dev/null
  kubectl -n empalme-system rollout restart deployment/empalme >/dev/null
}
set_pool "$vip-$(awk -F. '{print $1"."$2"."$3"."$4+1}' <<<"$vip")"
kubectl -n empalme-system rollout status deployment/empalme --timeout=60s >/dev/null || fail "the small pool was not taken"
until_true 20 answers "$vip" || fail "the first Service is not served"
[ "$(service_ip web)" = "$vip" ] || fail "the address changed with the pool"
make_service second 80 </dev/null
until_true 10 has_address second || fail "the second address of the pool was not given"
make_service third 80 </dev/null
until_true 10 condition_is third Accepted "False PoolExhausted" || fail "third: $(condition third Accepted)"
kubectl describe service third | grep -q PoolExhausted || fail "no Event names the exhausted pool"
freed=$(service_ip second)
kubectl delete service second --timeout=15s >/dev/null
until_true 10 has_address third || fail "the freed address was not given to who waits"
[ "$(service_ip third)" = "$freed" ] || fail "third has $(service_ip third), not $freed"

# Two that want one address: the older has it.
make_service wants-too 80 <<<"  loadBalancerIP: $freed"
until_true 10 condition_is wants-too Accepted "False AddressTaken" || fail "wants-too: $(condition wants-too Accepted)"
make_service outside 80 <<<"  loadBalancerIP: 203.0.113.1"
until_true 10 condition_is outside Accepted "False AddressNotInPool" || fail "outside: $(condition outside Accepted)"
kubectl describe service outside | grep -q AddressNotInPool || fail "no Event names the address that is in no pool"
kubectl delete service third --timeout=15s >/dev/null
until_true 10 has_address wants-too || fail "the address was not given once it was free"

make_service elsewhere 80 <<<"  loadBalancerClass: example.com/other"
make_service mixed 80 <<<$'    - {name: sctp, port: 90, protocol: SCTP, targetPort: 90}\n  loadBalancerIP: '"$freed"
kubectl delete service wants-too --timeout=15s >/dev/null
until_true 10 has_address mixed || fail "the Service with one bad port is not served at all"
error=$(kubectl get service mixed -o json | jq -r '.status.loadBalancer.ingress[0].ports[] | select(.protocol == "SCTP") | .error')
[ "$error" = empalme.io/UnsupportedProtocol ] || fail "ports[].error of the SCTP port: $error"
[ -z "$(kubectl get service elsewhere -o jsonpath='{.metadata.finalizers}{.status.conditions}{.status.loadBalancer.ingress}')" ] ||
  fail "a Service of another class was touched"
[ -n "$(ask "$vip")" ] || fail "the first Service was disturbed"
kubectl delete service outside elsewhere mixed --timeout=15s >/dev/null || fail "a deletion hangs"

# A bad pool: the new controller says so and does not start; put back, all is as before.
set_pool 192.0.2.1-banana
until_true 30 eval 'kubectl -n empalme-system logs deployment/empalme -c controller --tail=5 | grep -q "192.0.2.1-banana"' ||
  fail "the log does not name the bad pool"
set_pool auto
kubectl -n empalme-system rollout status deployment/empalme --timeout=90s >/dev/null || fail "not ready with the usual pool"
until_true 20 answers "$vip" || fail "not served after the usual pool was put back"
figure "PoolExhausted, AddressTaken, AddressNotInPool, UnsupportedProtocol and a bad pool are named; the first Service kept $vip"
