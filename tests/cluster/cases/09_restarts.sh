# Controller killed: traffic goes on. Data plane killed: it serves again from disk, without a controller.
vip=$(service_ip web)
load controller --target "$vip:80" --rate 200 --seconds 60
sleep 1
kill -9 "$(empalme_pid empalme-controller)"
sleep 4
end_load controller
expect_no_failures controller
until_true 60 empalme_ready || fail "the controller did not come back"
[ "$(service_ip web)" = "$vip" ] || fail "the address changed"

# A stopped controller cannot help: what serves is the state on disk.
until_true 20 eval '[ -n "$(empalme_pid empalme-controller)" ]' || fail "the controller did not come back"
controller=$(empalme_pid empalme-controller)
kill -STOP "$controller"
killed=$(milliseconds)
kill -9 "$(empalme_pid empalme-dataplane)"
until_true 40 answers "$vip" || fail "does not serve again from disk"
figure "data plane killed: serves again from disk, without a controller, after $(($(milliseconds) - killed)) ms (the kubelet's restart included)"
kill -CONT "$controller"
until_true 60 empalme_ready || fail "not ready again"
[ "$(service_ip web)" = "$vip" ] || fail "the address changed"
make_service after 81 </dev/null
until_true 15 has_address after || fail "the controller does not work with the restarted data plane"
kubectl delete service after --timeout=15s >/dev/null || fail "the Service was not deleted"
