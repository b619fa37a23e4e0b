# The data plane that holds an address is killed, its keepalived is, and its pod is deleted.
ha_up || return
until_true 30 ha_at_rest || fail "addresses go from node to node"
holder=n1
vip=$(address_on "$holder")
[ -n "$vip" ] || fail "$holder holds no address: the case shows nothing"

# Whatever ends there: new connections go on elsewhere, and the address comes back by itself.
lose() { # NAME LIMIT COMMAND...
  local name=$1 limit=$2 moment stopped pause late both
  shift 2
  witness_start "$name" "$vip"
  load "$name" --target "$vip:80" --rate 100 --seconds 90 --concurrency 300 --timeout-ms 4000
  sleep 1
  moment=$(milliseconds)
  "$@"
  until_true 5 eval "! held_by $vip $holder" || fail "$name: the address did not move"
  until_true 60 dataplanes_ready || fail "$name: the data plane did not come back"
  until_true 30 held_by "$vip" "$holder" || fail "$name: the address did not come back"
  sleep 2
  stopped=$(milliseconds)
  end_load "$name"
  end "witness-$name"
  pause=$(longest_pause "$name" "$moment" "$stopped")
  late=$(failed_between "$name" "$((moment + limit))" "$(milliseconds)")
  both=$(double_answers "$name")
  figure "$name: longest pause $pause ms, answered by two for $both ms; $(failed_between "$name" "$((moment - 4000))" "$((moment + limit))") of 100/s failed around it, $late until it was back"
  [ "$pause" -le "$limit" ] || fail "$name: a pause of more than $limit ms"
  [ "$both" -le 200 ] || fail "$name: two answered for $both ms"
}
kill_program() { # PROGRAM
  local pids
  pids=$(system_pids "$(dataplane_on "$holder")" "$1")
  [ -n "$pids" ] || fail "no $1 on $holder"
  # shellcheck disable=SC2086
  kill -9 $pids
}
delete_pod() { system delete pod "$(dataplane_on "$holder")" --wait=false >/dev/null; }

lose dataplane-killed 1000 kill_program empalme-dataplane
lose keepalived-killed 1000 kill_program keepalived
lose pod-deleted 1000 delete_pod
