# A data plane outside the cluster: certificates are replaced under load, and nothing is lost.
outside_up || return
routed=$(service_ip routed) by_node=$(service_ip by-node)
served_serial() { in_ns client openssl s_client -connect "$edge_admin" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
serial() { openssl x509 -noout -serial -in "$(edge_folder)/$1.crt"; }
server=$(serial server) own=$(serial client)
# Some come all the time, others are under way all the time.
load rotated --target "$routed:80" --rate 100 --seconds 120 --concurrency 50
load rotated-nodes --target "$by_node:80" --rate 100 --seconds 120 --concurrency 50
load rotated-held --target "$routed:80" --path '/slow?ms=10000' --concurrency 20 --count 80 --timeout-ms 40000
moment=$(milliseconds)
system patch secret empalme-tls --type=merge -p '{"data":{"server.crt":""}}' >/dev/null
system patch secret empalme-tls-client --type=merge -p '{"data":{"client.crt":""}}' >/dev/null
until_true 45 copy_certificates || fail "the certificates were not made anew"
[ "$(serial server)" != "$server" ] && [ "$(serial client)" != "$own" ] || fail "the certificates are the same"
figure "certificates of both sides made anew and copied after $((($(milliseconds) - moment) / 1000)) s"
taken_into_use() { [ "$(served_serial)" = "$(serial server)" ]; }
until_true 60 taken_into_use || fail "the new certificate is not in use"
kubectl patch service routed --type=json -p '[{"op":"add","path":"/spec/ports/-","value":{"name":"more","port":81,"targetPort":8080}}]' >/dev/null
until_true 15 answers "$routed" 81 || fail "nothing is published with the new certificates"
for name in rotated rotated-nodes; do end_load "$name"; done
wait "$(pid_of load-rotated-held)" 2>/dev/null
for name in rotated rotated-nodes rotated-held; do expect_no_failures "$name"; done
[ "$(service_ip routed) $(service_ip by-node)" = "$routed $by_node" ] || fail "addresses changed"

outside_down
in_ns edge ip -o addr show dev eth0 | grep -q '/32' && fail "an address is left outside"
in_ns edge nft list table inet empalme >/dev/null 2>&1 && fail "a packet filter is left outside"
absent namespace empalme-system || fail "the namespace is still there"
