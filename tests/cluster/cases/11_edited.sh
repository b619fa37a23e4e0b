# A Service is edited, changes its type and back, and goes: the address holds, and then nothing is left.
make_service edited 80 </dev/null
until_true 5 has_address edited
vip=$(service_ip edited)
until_true 5 answers "$vip" || fail "not served"
kubectl patch service edited --type=json -p '[{"op":"replace","path":"/spec/ports/0/port","value":8081}]' >/dev/null
until_true 5 answers "$vip" 8081 || fail "the listener did not move to the new port"
[ -z "$(ask "$vip")" ] || fail "the old port still answers"
[ "$(service_ip edited)" = "$vip" ] || fail "the address changed with the port"
kubectl patch service edited --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":9}]' >/dev/null
until_true 5 eval '[ -z "$(ask "$vip" 8081)" ]' || fail "the targetPort edit was not applied"
kubectl patch service edited --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]' >/dev/null
until_true 5 answers "$vip" 8081 || fail "the targetPort was not put back"

clean() { [ -z "$(kubectl get service edited -o jsonpath='{.metadata.finalizers}{.status.conditions}')" ]; }
kubectl patch service edited -p '{"spec":{"type":"ClusterIP"}}' >/dev/null
until_true 10 vip_nowhere "$vip" || fail "the address stayed on the node"
until_true 10 clean || fail "finalizers or conditions are left: $(kubectl get service edited -o jsonpath='{.metadata.finalizers} {.status.conditions}')"
[ -z "$(ask "$vip" 8081)" ] || fail "the address still answers"
kubectl patch service edited -p '{"spec":{"type":"LoadBalancer"}}' >/dev/null
until_true 5 has_address edited || fail "no address after the type went back"
vip=$(service_ip edited)
until_true 5 answers "$vip" 8081 || fail "not served after the type went back"
kubectl delete service edited --timeout=10s >/dev/null || fail "the deletion hangs"
until_true 10 vip_nowhere "$vip" || fail "the address stayed after the deletion"
figure "address kept over port edits; gone after type change and deletion, with finalizers, conditions and status"
