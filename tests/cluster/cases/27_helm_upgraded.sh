# helm upgrade under load: no request fails, no address changes.
make_next_image
[ -n "$(helm list -q)" ] || single_down
helm_up || return
until_true 20 ha_spread || fail "one node holds every address"
until_true 30 ha_at_rest || fail "addresses go from node to node"
helm_roll upgraded "$next_image" helm upgrade empalme "$chart" "${helm_values[@]}" "${helm_next[@]}"
