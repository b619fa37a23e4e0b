# manifests/install.yaml: only Services of our class, with the pool of its ConfigMap.
kubectl delete -f "$cluster_root/manifests/minikube.yaml" --timeout=90s >/dev/null
in_ns client env KUBECONFIG="$cluster_dir/config/admin.kubeconfig" "$cluster_root/build/empalme" uninstall >/dev/null
kubectl delete service web --timeout=20s >/dev/null
kubectl apply -f "$cluster_root/manifests/install.yaml" >/dev/null
until_true 60 empalme_ready || fail "not ready"
make_service classless 80 </dev/null
make_service classed 80 <<<"  loadBalancerClass: empalme.io/lb"
until_true 10 has_address classed || fail "a Service of our class has no address"
vip=$(service_ip classed)
until_true 5 answers "$vip" || fail "not served"
[ -z "$(kubectl get service classless -o jsonpath='{.metadata.finalizers}{.status.conditions}{.status.loadBalancer.ingress}')" ] ||
  fail "a Service without a class was touched"
[ -n "$(metric "$(empalme_node)" empalme_dataplane_services)" ] || fail "no metrics on the node's address"
changes_nothing -f "$cluster_root/manifests/install.yaml" || fail "a second kubectl apply of install.yaml changes something"
[ "$(service_ip classed)" = "$vip" ] && answers "$vip" || fail "not as before after a second kubectl apply"
figure "class only: $vip; a Service without a class was left alone; a second kubectl apply changed nothing"
kubectl delete service classless classed --timeout=15s >/dev/null || fail "a Service hangs in Terminating"
