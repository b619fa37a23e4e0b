# A pod is killed without notice: only what was in flight on it ends, at once, and as it would for a
# client that is connected to the pod directly.
vip=$(service_ip web)

kill_once() { # NAME HOW
  local pod ip pid began
  pod=$(first_pod web)
  ip=$(kubectl get pod "$pod" -o jsonpath='{.status.podIP}')
  load "steady-$1" --target "$vip:80" --rate 200 --seconds 60
  # In flight when it dies: through the balancer, and to the pod itself as control.
  load "flight-$1" --target "$vip:80" --path '/slow?ms=20000' --concurrency 30 --count 30 --timeout-ms 30000
  ip netns exec n1 "$cluster_root/build/empalme-demo-load" --target "$ip:8080" --path '/slow?ms=20000' --count 3 --concurrency 3 \
    --timeout-ms 30000 >"$cluster_dir/logs/load-control-$1.json" 2>/dev/null &
  local control=$!
  sleep 2
  pid=$(pod_pids "$pod" | head -n 1)
  [ -n "$pid" ] || fail "the pod's process was not found"
  began=$(milliseconds)
  if [ "$2" = force ]; then
    kubectl delete pod "$pod" --grace-period=0 --force >/dev/null 2>&1 &
    until_true 30 eval "! kill -0 $pid" || fail "the pod's process did not end"
    began=$(milliseconds)
  else
    kill -9 "$pid"
  fi
  sleep 2
  end_load "steady-$1"
  end_load "flight-$1"
  wait "$control" 2>/dev/null
  expect_only_in_flight "steady-$1" "$began"
  local cut late causes direct
  cut=$(report_of "flight-$1" .failed)
  late=$(report_of "flight-$1" "[.failures[] | select(.began + .ms > $began + 50)] | length")
  causes=$(report_of "flight-$1" '.causes | keys | join(",")')
  direct=$(report_of "control-$1" '.causes | keys | join(",")')
  figure "in flight on it: $cut cut ($causes; directly connected: $direct), $late of them later than 50 ms after its death"
  [ "$cut" -gt 0 ] || fail "nothing was in flight on the pod: the case shows nothing"
  [ "$late" -eq 0 ] || fail "$late requests ended late"
  [ "$causes" = "$direct" ] || fail "ends otherwise than for a directly connected client"
  until_true 60 pods_are_ready web 3 || fail "the pods did not become ready again"
}

kill_once killed signal
kill_once forced force
