# What our service accounts asked of the API server, beside what they may: no right unused, none missing.
absent namespace empalme-system && {
  kubectl apply -f "$cluster_root/manifests/install.yaml" >/dev/null
  until_true 60 empalme_ready || fail "not ready"
}
# So that it also runs alone: status and Events are written for a Service that comes and goes.
make_service audited 8090 <<<"  loadBalancerClass: empalme.io/lb"
until_true 15 has_address audited || fail "no address"
kubectl apply -f - >/dev/null <<<'{apiVersion: empalme.io/v1alpha1, kind: AddressPool, metadata: {name: audited},
  spec: {addresses: [192.0.2.1], autoAssign: false}}'
pool_is_reported() { [ "$(kubectl get addresspool audited -o jsonpath='{.status.capacity}')" = 1 ]; }
until_true 15 pool_is_reported || fail "no status of an AddressPool"
kubectl delete addresspool audited >/dev/null
kubectl delete service audited --timeout=15s >/dev/null || fail "a Service hangs in Terminating"
kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json >"$cluster_dir/logs/rights.json"
if said=$(python3 "$cluster_root/tests/cluster/lib/audit.py" "$cluster_dir/logs/audit.log" empalme-system \
  "$cluster_dir/logs/rights.json" "${unused_rights[@]}"); then
  figure "$said"
else
  fail "$said"
fi
