# Uninstalling, with Services present: nothing hangs, nothing of ours is left.
uninstall() { in_ns client env KUBECONFIG="$cluster_dir/config/admin.kubeconfig" "$cluster_root/build/empalme" uninstall; }
vip=$(service_ip web)
make_service extra 80 </dev/null
until_true 5 has_address extra

out=$(uninstall) || fail "uninstall: $out"
grep -q /var/lib/empalme <<<"$out" || fail "uninstall does not name the folder that is left"
until_true 10 services_free || fail "Services still carry something of ours"
until_true 15 nodes_clean || fail "something of ours is left on a node"
kubectl delete -f "$cluster_root/manifests/minikube.yaml" --timeout=60s >/dev/null || fail "kubectl delete hangs"
kubectl delete service extra --timeout=10s >/dev/null || fail "a Service hangs in Terminating"
absent namespace empalme-system || fail "the namespace is still there"

# The delete alone, without uninstall: what is left is freed from any machine with a kubeconfig.
kubectl apply -f "$cluster_root/manifests/minikube.yaml" >/dev/null
until_true 60 empalme_ready || fail "not installed again"
until_true 15 has_address web || fail "no address after the second install"
kubectl delete -f "$cluster_root/manifests/minikube.yaml" --timeout=90s >/dev/null || fail "kubectl delete alone hangs"
until_true 15 nodes_clean || fail "something of ours is left on a node after the delete alone"
kubectl delete service web --wait=false >/dev/null
out=$(uninstall) || fail "uninstall after the delete: $out"
until_true 10 absent service web || fail "the Service hangs in Terminating"
services_free || fail "Services still carry something of ours"
figure "nothing of ours on objects or nodes but /var/lib/empalme, which uninstall names"
kubectl apply -f "$cluster_root/manifests/minikube.yaml" -f "$cluster_root/manifests/samples/web.yaml" >/dev/null
until_true 60 empalme_ready
