# A data plane outside the cluster, over routes and by node ports: pods are deleted and killed.
outside_up || return
until_true 60 pods_are_ready web 3 || fail "the sample's pods are not ready"
routed=$(service_ip routed) by_node=$(service_ip by-node)
[ "$(edge_backends routed | grep -c '^10\.244\.')" -eq 3 ] || fail "routed: $(edge_backends routed)"
[ "$(edge_backends by-node | tr '\n' ' ')" = "$(node_address 1) $(node_address 2) " ] || fail "by node ports: $(edge_backends by-node)"
from_client -k "https://$edge:9903/v1/status" >/dev/null && fail "its admin port answers somebody without a certificate"

names=(routed by-node by-local-node)
load_all() { # WHAT
  local name
  for name in "${names[@]}"; do load "$name-$1" --target "$(service_ip "$name"):80" --rate 100 --seconds 60 --concurrency 50; done
  sleep 1
}
end_all() { local name; for name in "${names[@]}"; do end_load "$name-$1"; done; }

load_all deleted
kubectl delete pod "$(first_pod web)" --wait=true >/dev/null
until_true 30 pods_are_ready web 3 || fail "the pods did not become ready again"
end_all deleted
for name in "${names[@]}"; do expect_no_failures "$name-deleted"; done

# Without notice. The nodes' own proxy goes on to the dead pod until it has heard: with externalTrafficPolicy Cluster
# from every node, so that another node is no better; with Local only from the pod's own.
load_all killed
pid=$(pod_pids "$(first_pod web)" | head -n 1)
killed=$(milliseconds)
kill -9 "$pid" || fail "no process to kill"
until_true 60 pods_are_ready web 3 || fail "the pods did not become ready again"
sleep 1
end_all killed
for name in routed by-local-node; do expect_only_in_flight "$name-killed" "$killed"; done
figure "load by-node-killed: $(report_of by-node-killed .ok) answered, $(report_of by-node-killed .failed) failed $(report_of by-node-killed '.causes | tostring')"
