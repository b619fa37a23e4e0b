# What the service accounts of manifests/ha asked, beside what they may; then nothing of it is left.
ha_up || return
# A damaged certificate is made anew: what "update" on Secrets is for.
system patch secret empalme-tls-client --type=merge -p '{"data":{"client.crt":""}}' >/dev/null
repaired() { [ -n "$(system get secret empalme-tls-client -o jsonpath='{.data.client\.crt}')" ]; }
until_true 45 repaired || fail "a damaged certificate was not made anew"
kubectl apply -f - >/dev/null <<<'{apiVersion: empalme.io/v1alpha1, kind: AddressPool, metadata: {name: audited},
  spec: {addresses: [192.0.2.1], autoAssign: false}}'
pool_is_reported() { [ "$(kubectl get addresspool audited -o jsonpath='{.status.capacity}')" = 1 ]; }
until_true 15 pool_is_reported || fail "no status of an AddressPool"
kubectl delete addresspool audited >/dev/null
kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json >"$cluster_dir/logs/rights-ha.json"
said=$(python3 "$cluster_root/tests/cluster/lib/audit.py" "$cluster_dir/logs/audit.log" empalme-system \
  "$cluster_dir/logs/rights-ha.json" "${unused_rights[@]}") || fail "$said"
figure "$said"
kubectl delete role,rolebinding empalme-tls-secrets --ignore-not-found >/dev/null

vips=$(ha_addresses)
ha_down
for vip in $vips; do until_true 10 vip_nowhere "$vip" || fail "$vip stayed on a node"; done
for node in n1 n2; do in_ns "$node" nft list table inet empalme >/dev/null 2>&1 && fail "a packet filter is left on $node"; done
absent namespace empalme-system || fail "the namespace is still there"
figure "nothing of it is left on objects or nodes but /var/lib/empalme"
