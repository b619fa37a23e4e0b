# manifests/ha: two controllers of which one leads, a data plane on each node, addresses shared by VRRP.
began=$(milliseconds)
ha_up || return
figure "$((($(milliseconds) - began) / 1000)) s from the removal of the single pod to ${#ha_names[@]} addresses"

leaders=0
for address in $(system get pods -l "$ha_selector" -o jsonpath='{.items[*].status.podIP}'); do
  leaders=$((leaders + $(leading_on "$address")))
done
[ "$leaders" -eq 1 ] || fail "$leaders controllers lead"
[ "$(system get pods -l "$ha_selector" -o jsonpath='{.items[*].spec.nodeName}' | tr ' ' '\n' | sort -u | wc -l)" -eq 2 ] ||
  fail "the controllers are not on two nodes"
system exec "$(leader)" -c controller -- empalme explain default/ha >/dev/null || fail "the leader explains nothing"
[ "$(epoch_on n1)" = "$(epoch_on n2)" ] && [ -n "$(epoch_on n1)" ] || fail "epochs: $(epoch_on n1) and $(epoch_on n2)"
for node in n1 n2; do
  [ "$(metric "$node" empalme_dataplane_services)" = "${#ha_names[@]}" ] || fail "$node has $(metric "$node" empalme_dataplane_services) services"
  from_client -k "https://$(in_ns "$node" ip -o -4 addr show dev eth0 | awk '$4 ~ "/24" {sub("/24", "", $4); print $4; exit}'):9903/v1/status" >/dev/null &&
    fail "the admin port of $node answers somebody without a certificate"
done
condition_is ha Programmed "True Programmed" || fail "condition Programmed: $(condition ha Programmed)"

# Whoever comes first holds all; the other takes its share back 5 s after it has come.
until_true 20 ha_spread || fail "one node holds every address"
# A client that was told of an address a moment ago believes nothing else for a second (arp(7), locktime).
until_true 30 ha_at_rest || fail "addresses go from node to node"

# shellcheck disable=SC2046
witness_start installed $(ha_addresses)
spread=
for address in $(ha_addresses); do
  until_true 5 answers "$address" || fail "$address is not served"
  seen=$(in_ns client ip neigh show "$address" | awk '{for (i = 1; i < NF; i++) if ($i == "lladdr") print $(i + 1)}')
  holder=$(holders "$address")
  [ "$(node_of_mac "$seen")" = "$holder" ] || fail "$address is on '$holder', and the client asks '$seen'"
  for node in n1 n2; do
    [ -n "$(in_ns "$node" curl -s -m 3 "http://$address/")" ] || fail "$address is not reached from $node"
  done
  spread+=" $holder"
done
for pod in $(kubectl get pods -l app=web -o name); do
  answer=$(kubectl exec "$pod" -- empalme-demo-load --target "$(service_ip ha):80" --count 12 --concurrency 1 2>&1) ||
    fail "not reached from $pod: $answer"
done
changes_nothing -k "$(ha_overlay)" || fail "a second kubectl apply of manifests/ha changes something"
end witness-installed
[ "$(double_answers installed)" -eq 0 ] || fail "two answered for an address"
figure "held by:$spread; reached from the client, both nodes and every pod; no address answered by two; a second kubectl apply changed nothing"
