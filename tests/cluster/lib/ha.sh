# The topology of manifests/ha: who leads, who holds an address, and cutting a node off.

ha_pool=$lan.100-$lan.119
system() { kubectl -n empalme-system "$@"; }
ha_selector=app.kubernetes.io/name=empalme
dataplane_selector=app.kubernetes.io/name=empalme-dataplane

# As the base's own comment says: an overlay that names addresses and interface.
ha_overlay() {
  local folder=$cluster_dir/ha
  mkdir -p "$folder"
  cat >"$folder/kustomization.yaml" <<Y
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$(realpath --relative-to="$folder" "$cluster_root/manifests/ha")]
patches:
  - patch: |
      {apiVersion: v1, kind: ConfigMap, metadata: {name: empalme, namespace: empalme-system},
       data: {pool: $ha_pool, announce: "vrrp:eth0"}}
Y
  echo "$folder"
}

dataplanes_ready() { system rollout status daemonset/empalme-dataplane --timeout=1s; }
controllers_ready() { system rollout status deployment/empalme --timeout=1s; }
ha_ready() { controllers_ready && dataplanes_ready && [ -n "$(leader)" ]; }

free_services() { in_ns client env KUBECONFIG="$cluster_dir/config/admin.kubeconfig" "$cluster_root/build/empalme" uninstall >/dev/null; }

single_down() {
  kubectl delete -f "$cluster_root/manifests/minikube.yaml" --ignore-not-found --timeout=90s >/dev/null 2>&1
  free_services
  kubectl delete service web --ignore-not-found --timeout=20s >/dev/null
}

ha_names=(ha ha-1 ha-2 ha-3 ha-4 ha-5)
ha_services() {
  local name
  for name in "${ha_names[@]}"; do
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, labels: {ha: "yes"}}\nspec:\n  type: LoadBalancer\n' "$name"
    printf '  loadBalancerClass: empalme.io/lb\n  selector: {app: web}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n'
  done
}
ha_addresses() { kubectl get services -l ha=yes -o json | jq -r '.items[].status.loadBalancer.ingress[0].ip // empty'; }
ha_all_have_addresses() { [ "$(ha_addresses | wc -l)" -eq "${#ha_names[@]}" ]; }
ha_all_held_by_one() {
  local address
  for address in $(ha_addresses); do held_by_one "$address" || return 1; done
}
# An address of ours that this node holds.
address_on() { # NODE
  local address
  for address in $(ha_addresses); do held_by "$address" "$1" && { echo "$address"; return; }; done
}

# Whoever comes first holds all; the other takes its share back 5 s after it has come.
ha_spread() { [ -n "$(address_on n1)" ] && [ -n "$(address_on n2)" ] && ha_all_held_by_one; }

ha_holders() { local address; for address in $(ha_addresses); do holders "$address"; done; }
# Longer than a node waits before it takes its share.
ha_at_rest() { local before; before=$(ha_holders); sleep 6; [ "$(ha_holders)" = "$before" ]; }

# From whatever is installed, with some Services for the sample's pods.
ha_up() {
  if ! system get daemonset empalme-dataplane >/dev/null 2>&1; then
    single_down
    kubectl apply -k "$(ha_overlay)" >/dev/null || fail "manifests/ha was refused"
  fi
  until_true 120 ha_ready || { fail "not ready: $(system get pods -o wide 2>&1)"; return 1; }
  ha_services | kubectl apply -f - >/dev/null
  until_true 20 ha_all_have_addresses || { fail "no address"; return 1; }
  until_true 20 ha_all_held_by_one || { fail "an address is not on one node"; return 1; }
}

# What serves the Services is needed to free them: they go first.
ha_down() {
  kubectl delete service -l ha=yes --timeout=30s >/dev/null || fail "a Service hangs in Terminating"
  kubectl delete -k "$(ha_overlay)" --ignore-not-found --timeout=90s >/dev/null || fail "kubectl delete hangs"
}

lease_holder() { system get lease empalme -o jsonpath='{.spec.holderIdentity}' 2>/dev/null; }
# The pod that leads; its name has no underscore.
leader() {
  local holder
  holder=$(lease_holder)
  echo "${holder%_*}"
}
pod_node() { system get pod "$1" -o jsonpath='{.spec.nodeName}'; }
dataplane_on() { # NODE
  system get pods -l "$dataplane_selector" -o json | jq -r --arg n "$1" '.items[] | select(.spec.nodeName == $n) | .metadata.name'
}
system_pids() { # POD PROGRAM: what runs in it
  local uid pid
  uid=$(system get pod "$1" -o jsonpath='{.metadata.uid}')
  for pid in $(find /sys/fs/cgroup/pids/empalme-n* -path "*$uid*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u); do
    [ "$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | head -n 1 | xargs -r basename)" = "$2" ] && echo "$pid"
  done
}

mac_of() { in_ns "$1" cat /sys/class/net/eth0/address; }
node_of_mac() {
  local node
  for node in $(seq -f 'n%g' "$cluster_nodes"); do [ "$(mac_of "$node")" = "$1" ] && echo "$node"; done
}
# The nodes whose interface has the address.
holders() { # ADDRESS
  local node
  for node in $(seq -f 'n%g' "$cluster_nodes"); do vip_on "$node" "$1" && echo "$node"; done
}
other_node() { [ "$1" = n1 ] && echo n2 || echo n1; }
held_by_one() { [ "$(holders "$1" | wc -l)" -eq 1 ]; }
held_by() { [ "$(holders "$1")" = "$2" ]; }

# Its cable is pulled at the switch: the node's own interface stays up.
cut_node() { in_ns lan ip link set "$1-e" nomaster; }
heal_node() { in_ns lan ip link set "$1-e" master br0; }

epoch_on() { metric "$1" empalme_dataplane_state_epoch; }
epochs_above() { [ "$(epoch_on n1)" -gt "$1" ] && [ "$(epoch_on n2)" -gt "$1" ]; }
leading_on() { in_ns n1 curl -s -m 3 "http://$1:9901/metrics" | awk '$1 == "empalme_controller_leading" {print $2}'; }

witness_start() { # NAME ADDRESS...
  local name=$1
  shift
  start witness "witness-$name" python3 "$cluster_root/tests/cluster/lib/witness.py" listen \
    "$cluster_dir/logs/witness-$name.txt" eth0 "$@"
}
# Milliseconds for which two answered at a stretch, for the worst of the addresses.
double_answers() { # NAME [FROM TO]
  python3 "$cluster_root/tests/cluster/lib/witness.py" judge "$cluster_dir/logs/witness-$1.txt" "${@:2}" |
    jq '[.[].both_ms] | max // 0'
}
silence() { # NAME FROM TO: without an answer, the worst address
  python3 "$cluster_root/tests/cluster/lib/witness.py" judge "$cluster_dir/logs/witness-$1.txt" "$2" "$3" |
    jq '[.[].silent_ms] | max // 99999'
}

# The longest time without an answered request, of those that ended between FROM and TO.
longest_pause() { # NAME FROM TO
  awk '!/FAILED/ {print $2}' "$cluster_dir/logs/load-$1.txt" | sort -n |
    awk -v f="$2" -v t="$3" '{ if (last && $1 >= f && last <= t && $1 - last > m) m = $1 - last; last = $1 }
      END { if (last < t && t - last > m) m = t - last; print m + 0 }'
}
# Requests begun between FROM and TO that failed.
failed_between() { # NAME FROM TO
  awk -v f="$2" -v t="$3" '/FAILED/ && $1 >= f && $1 <= t {n++} END {print n + 0}' "$cluster_dir/logs/load-$1.txt"
}
