# The chart on the cluster: a release of topology ha, whose data planes hand their sockets over.

next_image=${image%:*}:next
# In the client's namespace, with folders of its own.
helm() {
  in_ns client env HELM_CACHE_HOME="$cluster_dir/helm" HELM_CONFIG_HOME="$cluster_dir/helm" HELM_DATA_HOME="$cluster_dir/helm" \
    "$helm_tools/helm" --kubeconfig "$cluster_dir/config/admin.kubeconfig" -n empalme-system "$@"
}
chart=$cluster_root/charts/empalme
# Both nodes share this machine's /run, and have a disk each: the sockets of a handoff lie there.
helm_values=(--set topology=ha --set "pools={$ha_pool}" --set dataplane.announce=vrrp:eth0
  --set dataplane.handoff=true --set dataplane.handoffDir=/var/lib/empalme/handoff)
helm_next=(--set image.tag="${next_image#*:}" --set controller.logLevel=debug)

# A second version: the same programs under another name.
make_next_image() {
  local i
  for i in $(seq "$cluster_nodes"); do
    "$cluster_bin/ctr" -a "$cluster_dir/n$i/containerd.sock" -n k8s.io images tag --force "docker.io/library/$image" "docker.io/library/$next_image" >/dev/null ||
      fail "no second version on n$i"
  done
}

# Every container of ours that runs, once: the version of all pods.
images_in_use() { system get pods -o jsonpath='{range .items[*].spec.containers[*]}{.image}{"\n"}{end}' | sort -u; }
one_image() { [ "$(images_in_use)" = "$1" ]; }

helm_up() {
  system get deployment empalme >/dev/null 2>&1 && [ -n "$(helm list -q)" ] && return 0
  helm install empalme "$chart" --create-namespace "${helm_values[@]}" >/dev/null || { fail "helm install"; return 1; }
  until_true 90 ha_ready || { fail "not ready: $(system get pods -o wide 2>&1)"; return 1; }
  ha_services | kubectl apply -f - >/dev/null
  until_true 20 ha_all_have_addresses || { fail "no address"; return 1; }
  until_true 20 ha_all_held_by_one || { fail "an address is not on one node"; return 1; }
}

# From one version to the other: load on an address of each node, until every pod is of the new one.
helm_roll() { # NAME IMAGE COMMAND...
  local name=$1 wanted=$2 began took node addresses
  shift 2
  addresses=$(ha_addresses)
  for node in n1 n2; do load "$name-$node" --target "$(address_on "$node"):80" --rate 100 --seconds 120 --concurrency 50; done
  # shellcheck disable=SC2046
  witness_start "$name" $(ha_addresses)
  sleep 1
  began=$(milliseconds)
  "$@" >/dev/null || fail "$name"
  until_true 90 one_image "$wanted" || fail "$name: pods of $(images_in_use)"
  until_true 60 ha_ready || fail "$name: not ready"
  took=$(($(milliseconds) - began))
  sleep 1
  for node in n1 n2; do
    end_load "$name-$node"
    expect_no_failures "$name-$node"
  done
  end "witness-$name"
  figure "$name: all pods of $wanted after $((took / 1000)) s; longest pauses $(longest_pause "$name-n1" "$began" "$((began + took))") and $(longest_pause "$name-n2" "$began" "$((began + took))") ms; answered by two for $(double_answers "$name") ms"
  [ "$(double_answers "$name")" -le 200 ] || fail "$name: two answered for $(double_answers "$name") ms"
  [ "$(ha_addresses)" = "$addresses" ] || fail "$name: addresses changed: $addresses, now $(ha_addresses)"
}
