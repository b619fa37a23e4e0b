# The link of the node that holds an address is cut, with the leading controller elsewhere and on it.
ha_up || return
until_true 30 ha_at_rest || fail "addresses go from node to node"

cut_off() { # NAME NODE SECONDS
  local name=$1 node=$2 vip moment healed stopped pause apart both late back
  served=
  vip=$(address_on "$node")
  [ -n "$vip" ] || { fail "$node holds no address: the case shows nothing"; return; }
  witness_start "$name" "$vip"
  load "$name" --target "$vip:80" --rate 100 --seconds 200 --concurrency 300 --timeout-ms 4000
  sleep 1
  moment=$(milliseconds)
  cut_node "$node"
  sleep "$3"
  [ "$name" = leader-cut ] && serve_meanwhile "$moment"
  healed=$(milliseconds)
  heal_node "$node"
  until_true 60 all_nodes_ready || fail "$name: the node did not come back"
  until_true 60 ha_ready || fail "$name: not ready again"
  until_true 30 held_by "$vip" "$node" || fail "$name: the address did not come back"
  sleep 2
  stopped=$(milliseconds)
  end_load "$name"
  end "witness-$name"
  apart=$(double_answers "$name" "$moment" "$healed")
  both=$(double_answers "$name" "$healed" "$stopped")
  pause=$(longest_pause "$name" "$moment" "$((moment + 4000))")
  back=$(longest_pause "$name" "$healed" "$stopped")
  late=$(failed_between "$name" "$((moment + 1500))" "$((healed - 50))")
  figure "$name: longest pause $pause ms; answered by two for $apart ms, then for $both ms once it was healed; failed: $(failed_between "$name" "$((moment - 4000))" "$((moment + 1500))") around the cut, $late later, $(failed_between "$name" "$((healed - 49))" "$(milliseconds)") after it was healed, longest pause then $back ms$served"
  [ "$pause" -le 1500 ] || fail "$name: a pause of more than 1.5 s"
  [ "$back" -le 1500 ] || fail "$name: a pause of more than 1.5 s once it was healed"
  [ "$late" -eq 0 ] || fail "$name: $late failed later than 1.5 s after the cut: $(report_of "$name" '[.failures[-3:][]] | tostring')"
  [ "$apart" -le 200 ] || fail "$name: two answered for $apart ms while the node was cut off"
  [ "$both" -le 1000 ] || fail "$name: two answered for $both ms"
}

# A Service that is made while node and leader are away.
serve_meanwhile() { # MOMENT
  make_service meanwhile 83 <<<"  loadBalancerClass: empalme.io/lb"
  until_true 45 has_address meanwhile || fail "no address for a Service that was made during the cut"
  until_true 5 answers "$(service_ip meanwhile)" 83 || fail "the Service that was made during the cut is not served"
  served="; a Service made during the cut was served $(($(milliseconds) - $1)) ms after it"
}

addresses=$(ha_addresses)
cut_off link-cut "$(other_node "$(pod_node "$(leader)")")" 6
old=$(lease_holder)
cut_off leader-cut "$(pod_node "$(leader)")" 6
[ "$(lease_holder)" != "$old" ] || fail "the leader did not change: the case shows nothing"
kubectl delete service meanwhile --timeout=60s >/dev/null || fail "a Service hangs in Terminating"
[ "$(ha_addresses)" = "$addresses" ] || fail "addresses changed: $addresses, now $(ha_addresses)"
