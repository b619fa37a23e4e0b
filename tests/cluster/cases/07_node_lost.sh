# The link of a node is cut (not the one that announces): the other node's pods take over.
vip=$(service_ip web)
holder=$(empalme_node)
lost=n2
[ "$holder" = n2 ] && lost=n1
kubectl scale deployment web --replicas=4 >/dev/null
until_true 60 pods_are_ready web 4
survivors=$(kubectl get pods -l app=web -o json | jq --arg n "$holder" '[.items[] | select(.spec.nodeName == $n)] | length')
[ "$survivors" -gt 0 ] || fail "no pod on the node that stays: the case shows nothing"
load lost --target "$vip:80" --rate 100 --seconds 60 --timeout-ms 8000
sleep 1
cut=$(milliseconds)
in_ns "$lost" ip link set eth0 down
sleep 8
end_load lost
in_ns "$lost" ip link set eth0 up
in_ns "$lost" ip route replace default via "$lan.1"
for i in $(seq "$cluster_nodes"); do
  [ "n$i" = "$lost" ] || in_ns "$lost" ip route replace "10.244.$i.0/24" via "$(node_address "$i")"
done
log=$cluster_dir/logs/load-lost.txt
# A request that was under way to the lost node at the cut has nobody to answer it.
flight=$(awk -v c="$cut" '/FAILED/ && $1 < c {n++} END {print n + 0}' "$log")
after=$(awk -v c="$cut" '/FAILED/ && $1 >= c {n++} END {print n + 0}' "$log")
slowest=$(awk -v c="$cut" '!/FAILED/ && $1 >= c && $2 - $1 > m {m = $2 - $1} END {print m + 0}' "$log")
calm=$(awk -v c="$cut" '$1 >= c && $2 - $1 > 500 && $1 > l {l = $1} END {print (l ? l - c : 0)}' "$log")
figure "after the cut: $after failed, slowest $slowest ms, last slow one begun $calm ms after it; in flight at the cut: $flight"
[ "$after" -eq 0 ] || fail "$after requests failed after the cut: $(report_of lost '[.failures[:3][]] | tostring')"
[ "$slowest" -le 2700 ] || fail "slower than one connect timeout and a retry (2,500 ms)"
[ "$calm" -le 2700 ] || fail "connections still waited for the lost node $calm ms later"
until_true 60 all_nodes_ready || fail "the node did not come back"
kubectl scale deployment web --replicas=3 >/dev/null
until_true 90 pods_are_ready web 3 || fail "the pods did not settle"
