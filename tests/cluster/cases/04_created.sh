# A Service is created: address in its status, Events, finalizers; reached from everywhere.
began=$(milliseconds)
make_service created 80 </dev/null
until_true 5 has_address created || fail "no address within 5 s"
took=$(($(milliseconds) - began))
vip=$(service_ip created)
figure "address $vip after $took ms (kubectl's own time included)"
[ "$took" -le 2000 ] || fail "address later than 2 s"
[ "$(kubectl get service created -o jsonpath='{.status.loadBalancer.ingress[0].ipMode}')" = Proxy ] || fail "ipMode is not Proxy"
[ "$(kubectl get service created -o jsonpath='{.status.loadBalancer.ingress[0].ports[0].port}')" = 80 ] || fail "ports are not in the status"
until_true 5 eval 'kubectl describe service created | grep -q EnsuredLoadBalancer'
described=$(kubectl describe service created)
for reason in EnsuringLoadBalancer EnsuredLoadBalancer; do
  grep -q "$reason" <<<"$described" || fail "no Event $reason in kubectl describe"
done
finalizers=$(kubectl get service created -o jsonpath='{.metadata.finalizers}')
for name in empalme.io/service service.kubernetes.io/load-balancer-cleanup; do
  [[ $finalizers == *$name* ]] || fail "finalizer $name is missing: $finalizers"
done
condition_is created Programmed "True Programmed" || fail "condition Programmed: $(condition created Programmed)"

names=$(for _ in $(seq 30); do ask "$vip"; done | sort | uniq -c | tr -s ' ' | tr '\n' ';')
[ "$(tr -cd ';' <<<"$names" | wc -c)" -eq 3 ] || fail "every pod must be served: $names"
figure "from the client, over the LAN:$names"
in_ns client ip neigh show "$vip" | grep -q lladdr || fail "no neighbour entry: ARP was not answered"
for node in n1 n2; do
  [ -n "$(in_ns "$node" curl -s -m 3 "http://$vip/")" ] || fail "not reached from node $node"
done
# From inside pods: the image's own load program is their client.
for pod in $(kubectl get pods -l app=web -o name); do
  answer=$(kubectl exec "$pod" -- empalme-demo-load --target "$vip:80" --count 12 --concurrency 1 2>&1) ||
    fail "not reached from $pod: $answer"
done
figure "reached from both nodes and from every backend pod"
[ "$(ask "$vip" 9901)" = "" ] || fail "a port of the node is open on the address"
kubectl delete service created --timeout=10s >/dev/null || fail "the Service was not deleted"
