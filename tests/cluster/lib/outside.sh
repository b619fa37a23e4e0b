# A data plane on a machine of its own, outside the cluster: as the README says, with copies of the
# certificates that the leading controller makes.

edge_admin=$edge:9903
edge_folder() { echo "$cluster_dir/edge"; }

# Controllers without a data plane in the cluster, and told of the one outside.
outside_overlay() {
  local folder=$cluster_dir/outside
  mkdir -p "$folder"
  cat >"$folder/kustomization.yaml" <<Y
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$folder" "$cluster_root/manifests/ha")]
patches:
  - patch: |
      {apiVersion: v1, kind: ConfigMap, metadata: {name: empalme, namespace: empalme-system}, data: {pool: $ha_pool}}
  - patch: |
      {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: empalme-dataplane, namespace: empalme-system},
       spec: {template: {spec: {nodeSelector: {empalme.test/nowhere: "yes"}}}}}
  - target: {kind: Deployment, name: empalme}
    patch: |
      [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--dataplane=tcp:$edge_admin"}]
Y
  echo "$folder"
}

# The lines of the README; and what the controllers show, to ask as one of them.
copy_certificates() {
  local f folder secret
  folder=$(edge_folder)
  mkdir -p "$folder"
  for f in ca.crt server.crt server.key client.crt client.key; do
    secret=empalme-tls
    [[ $f == client.* ]] && secret=empalme-tls-client
    system get secret "$secret" -o "jsonpath={.data.${f/./\\.}}" 2>/dev/null | base64 -d >"$folder/$f.new" || return 1
    [ -s "$folder/$f.new" ] || return 1
  done
  for f in ca.crt server.crt server.key client.crt client.key; do mv -f "$folder/$f.new" "$folder/$f"; done
}

edge_start() {
  local folder
  folder=$(edge_folder)
  start edge edge "$cluster_root/build/empalme-dataplane" --admin "tcp:$edge_admin" --tls-ca "$folder/ca.crt" \
    --tls-cert "$folder/server.crt" --tls-key "$folder/server.key" --state-dir "$folder/state" \
    --announce interface:eth0 --observe "$edge:9902"
}
edge_metric() { from_client "http://$edge:9902/metrics" | awk -v n="$1" '$1 == n {print $2}'; }
# What is asked of it with the controllers' certificate.
edge_get() { # PATH
  local folder
  folder=$(edge_folder)
  from_client --cacert "$folder/ca.crt" --cert "$folder/client.crt" --key "$folder/client.key" \
    --connect-to "dataplane.empalme:9903:$edge:9903" "https://dataplane.empalme:9903$1"
}
# The addresses that a Service's connections go to.
edge_backends() { # SERVICE
  edge_get /v1/state | jq -r --arg k "kubernetes/default/$1" '.services[] | select(.key == $k).ports[].backends[].address' | sort -u
}
edge_serves() { [ -n "$(edge_backends "$1")" ] && answers "$(service_ip "$1")" "$2"; }

# Over routes to the pods; by node ports; by those of nodes with a ready pod only.
outside_services() {
  local name
  for name in routed by-node by-local-node; do
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n  labels: {ha: "yes"}\n' "$name"
    [ "$name" = routed ] || printf '  annotations: {empalme.io/targets: nodes}\n'
    printf 'spec:\n  type: LoadBalancer\n  loadBalancerClass: empalme.io/lb\n  selector: {app: web}\n'
    [ "$name" = by-local-node ] && printf '  externalTrafficPolicy: Local\n'
    printf '  ports: [{name: http, port: 80, targetPort: 8080}]\n'
  done
}

outside_is_up() { system get deployment empalme -o jsonpath='{..args}' 2>/dev/null | grep "tcp:$edge_admin" >/dev/null; }

outside_up() {
  local i name
  for i in $(seq "$cluster_nodes"); do in_ns edge ip route replace "10.244.$i.0/24" via "$(node_address "$i")"; done
  if ! outside_is_up; then
    system get daemonset empalme-dataplane >/dev/null 2>&1 && ha_down
    single_down
    kubectl apply -k "$(outside_overlay)" >/dev/null || { fail "manifests/ha was refused"; return 1; }
  fi
  until_true 60 copy_certificates || { fail "no certificates in the Secret"; return 1; }
  kill -0 "$(pid_of edge)" 2>/dev/null || edge_start
  until_true 60 controllers_ready || { fail "not ready: $(system get pods -o wide 2>&1)"; return 1; }
  outside_services | kubectl apply -f - >/dev/null
  for name in routed by-node by-local-node; do
    until_true 30 edge_serves "$name" 80 || { fail "the data plane outside does not serve $name"; return 1; }
  done
}
outside_down() {
  kubectl delete service routed by-node by-local-node --ignore-not-found --timeout=30s >/dev/null || fail "a Service hangs in Terminating"
  kubectl delete -k "$(outside_overlay)" --ignore-not-found --timeout=90s >/dev/null || fail "kubectl delete hangs"
  end edge
}
