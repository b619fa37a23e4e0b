# The API server is away for 60 s; then etcd is compacted, so that the watch has to list again.
vip=$(service_ip web)
load away --target "$vip:80" --rate 100 --seconds 300
# A crash, not an orderly end: at an orderly end the API server takes its own address out of the
# Service "kubernetes", and pods reach it again only once kube-proxy has put it back.
end apiserver KILL
sleep 60
start_apiserver
until_true 60 kubectl get --raw /readyz || fail "the API server did not return"
back=$(milliseconds)
make_service late 80 </dev/null
until_true 10 has_address late || fail "a change was not applied within 10 s of its return"
figure "a Service that was made after the API server's return had its address $(($(milliseconds) - back)) ms after it was ready"
[ $(($(milliseconds) - back)) -le 5000 ] || fail "later than 5 s"

# The watch is frozen while the revisions that it needs are compacted away.
controller=$(empalme_pid empalme-controller)
gone_before=$(metric_sum 9901 empalme_controller_watch_gone_total)
end apiserver KILL
etcdctl() { in_ns cp "$cluster_bin/etcdctl" --endpoints=http://127.0.0.1:2379 "$@"; }
kill -STOP "$controller"
start_apiserver
until_true 60 kubectl get --raw /readyz
for _ in $(seq 5); do kubectl annotate service late "empalme.test/touch=$RANDOM" --overwrite >/dev/null; done
revision=$(etcdctl endpoint status --write-out=json | jq -r '.[0].Status.header.revision')
etcdctl compact "$revision" >/dev/null 2>&1
end apiserver KILL
start_apiserver
until_true 60 kubectl get --raw /readyz
kubectl delete service late --wait=false >/dev/null
kill -CONT "$controller"
back=$(milliseconds)
until_true 5 absent service late || fail "the deletion was not seen within 5 s after the compaction"
figure "after a compaction a deletion was carried out $(($(milliseconds) - back)) ms after the controller went on"
[ "$(metric_sum 9901 empalme_controller_watch_gone_total)" -gt "$gone_before" ] || fail "no watch was told 410: the case shows nothing"
end_load away
expect_no_failures away
kubernetes_afresh
