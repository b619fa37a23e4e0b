# Certificates, etcd, API server, controller manager and scheduler, in the namespace "cp".

make_certificate() { # NAME SUBJECT [SUBJECT ALTERNATIVE NAMES]
  (
    cd "$cluster_dir/pki" || exit 1
    openssl genrsa -out "$1.key" 2048 2>/dev/null
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
      -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${3:-DNS:localhost}") 2>/dev/null
  )
}

make_kubeconfig() { # NAME
  local file=$cluster_dir/config/$1.kubeconfig pki=$cluster_dir/pki
  local set=("$cluster_bin/kubectl" config "--kubeconfig=$file")
  "${set[@]}" set-cluster c --server="https://$control_plane:6443" --certificate-authority="$pki/ca.crt" --embed-certs >/dev/null
  "${set[@]}" set-credentials u --client-certificate="$pki/$1.crt" --client-key="$pki/$1.key" --embed-certs >/dev/null
  "${set[@]}" set-context c --cluster=c --user=u >/dev/null
  "${set[@]}" use-context c >/dev/null
}

make_pki() {
  local pki=$cluster_dir/pki i
  mkdir -p "$pki" "$cluster_dir/config"
  openssl genrsa -out "$pki/ca.key" 2048 2>/dev/null
  openssl req -x509 -new -key "$pki/ca.key" -subj /CN=ca -days 30 -out "$pki/ca.crt"
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  make_certificate apiserver /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$control_plane"
  make_certificate kubelet-client /O=system:masters/CN=kubelet-client
  make_certificate admin /O=system:masters/CN=admin
  make_certificate manager /CN=system:kube-controller-manager
  make_certificate scheduler /CN=system:kube-scheduler
  make_certificate proxy /CN=system:kube-proxy
  for i in admin manager scheduler proxy; do make_kubeconfig "$i"; done
  for i in $(seq "$cluster_nodes"); do
    make_certificate "n$i" "/O=system:nodes/CN=system:node:n$i" "DNS:n$i,IP:$(node_address "$i")"
    make_kubeconfig "n$i"
  done
}

start_etcd() {
  start cp etcd "$cluster_bin/etcd" --data-dir "$cluster_dir/etcd" \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
}

start_apiserver() {
  local pki=$cluster_dir/pki
  start cp apiserver "$cluster_bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address="$control_plane" --advertise-address="$control_plane" \
    --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true --authorization-mode=Node,RBAC \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP --enable-admission-plugins=NodeRestriction \
    --audit-policy-file="$cluster_root/tests/cluster/lib/audit_policy.yaml" \
    --audit-log-path="$cluster_dir/logs/audit.log"
}

start_controllers() {
  start cp manager "$cluster_bin/kube-controller-manager" --kubeconfig="$cluster_dir/config/manager.kubeconfig" \
    --use-service-account-credentials --root-ca-file="$cluster_dir/pki/ca.crt" \
    --service-account-private-key-file="$cluster_dir/pki/sa.key" --allocate-node-cidrs \
    --cluster-cidr=10.244.0.0/16 --node-cidr-mask-size=24 --controllers='*,-node-route-controller' \
    --leader-elect=false --node-monitor-grace-period=40s
  start cp scheduler "$cluster_bin/kube-scheduler" --kubeconfig="$cluster_dir/config/scheduler.kubeconfig" \
    --leader-elect=false
}

control_plane_up() {
  make_pki
  start_etcd
  start_apiserver
  until_true 60 kubectl get --raw /readyz || { tail -n 20 "$cluster_dir/logs/apiserver.log" >&2; die "the API server did not start"; }
  start_controllers
}

# After the API server was away Kubernetes' own controllers back off for up to 30 s each, and no longer
# write EndpointSlices meanwhile ("informer cache is out of date"): they begin afresh.
kubernetes_afresh() {
  until_true 90 all_nodes_ready
  end manager
  end scheduler
  start_controllers
  kubectl scale deployment web --replicas=4 >/dev/null
  until_true 90 pods_are_ready web 4 || fail "Kubernetes itself did not recover"
  kubectl scale deployment web --replicas=3 >/dev/null
  until_true 90 pods_are_ready web 3
}
