# helm rollback under load, an upgrade with nothing new, and helm uninstall with Services present.
[ -n "$(helm list -q)" ] || { make_next_image; single_down; }
helm_up || return
until_true 20 ha_spread || fail "one node holds every address"
until_true 30 ha_at_rest || fail "addresses go from node to node"
# Alone, this case has nothing to go back to.
one_image "$image" && { helm upgrade empalme "$chart" "${helm_values[@]}" "${helm_next[@]}" >/dev/null && until_true 90 one_image "$next_image" && until_true 60 ha_ready; }
helm_roll rolled-back "$image" helm rollback empalme
before=$(system_pods)
helm upgrade empalme "$chart" "${helm_values[@]}" >/dev/null || fail "helm upgrade with nothing new"
until_true 30 ha_ready || fail "not ready"
[ "$(system_pods)" = "$before" ] || fail "an upgrade with nothing new started pods"
vips=$(ha_addresses)
began=$(milliseconds)
helm uninstall empalme --timeout 90s >/dev/null || fail "helm uninstall"
figure "helm uninstall took $(($(milliseconds) - began)) ms with ${#ha_names[@]} Services present"
services_free || fail "Services still carry something of ours"
kubectl delete service -l ha=yes --timeout=10s >/dev/null || fail "a Service hangs in Terminating"
until_true 40 eval '[ -z "$(system get pods -o name)" ]' || fail "pods are left: $(system get pods)"
for vip in $vips; do until_true 10 vip_nowhere "$vip" || fail "$vip stayed on a node"; done
until_true 10 nodes_clean || fail "something of ours is left on a node"
kinds=deployments,daemonsets,pods,jobs,services,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets
left=$(kubectl get "$kinds" -A -l app.kubernetes.io/instance=empalme -o name)
[ -z "$left" ] || fail "left in the cluster: $left"
# As the chart's README says.
left=$(system get secrets -o name | grep -v helm | tr '\n' ' ')
[ "$left" = "secret/empalme-tls secret/empalme-tls-ca secret/empalme-tls-client " ] || fail "Secrets: $left"
kubectl delete namespace empalme-system --timeout=30s >/dev/null || fail "the namespace hangs"
kubectl delete crd addresspools.empalme.io --timeout=30s >/dev/null || fail "the definition of AddressPool hangs"
figure "nothing of it is left on objects or nodes but the three Secrets, the definition and /var/lib/empalme"
