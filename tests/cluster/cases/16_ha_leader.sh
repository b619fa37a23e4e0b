# The controller that leads is killed, ended and frozen: another leads, traffic and addresses stay.
ha_up || return
vip=$(service_ip ha)
addresses=$(ha_addresses)
another_leads() { local now; now=$(lease_holder); [ -n "$now" ] && [ "$now" != "$1" ]; }
load leader --target "$vip:80" --rate 200 --seconds 200 --concurrency 50
sleep 1

# Lease 15 s, looked at every 2 s and a little (jitter), as client-go does.
old=$(lease_holder) epoch=$(epoch_on n1)
moment=$(milliseconds)
kill -9 "$(system_pids "$(leader)" empalme-controller)" || fail "no controller to kill"
make_service during 81 <<<"  loadBalancerClass: empalme.io/lb"
until_true 30 another_leads "$old" || fail "nobody leads"
took=$(($(milliseconds) - moment))
until_true 10 has_address during || fail "no address for a Service that was made without a leader"
until_true 5 answers "$(service_ip during)" 81 || fail "the Service that was made without a leader is not served"
figure "killed: another leads after $took ms; a Service made meanwhile is served $(($(milliseconds) - moment)) ms after the kill"
[ "$took" -le 20000 ] || fail "later than the Lease allows"
until_true 5 epochs_above "$epoch" || fail "epochs $(epoch_on n1) and $(epoch_on n2) are not above $epoch"
until_true 60 controllers_ready || fail "the killed controller does not come back"

# Ended in good order, it gives the Lease up.
old=$(lease_holder) epoch=$(epoch_on n1)
moment=$(milliseconds)
system delete pod "$(leader)" --wait=false >/dev/null
until_true 30 another_leads "$old" || fail "nobody leads after the leader's end"
took=$(($(milliseconds) - moment))
until_true 5 epochs_above "$epoch" || fail "the epoch was not raised"
figure "deleted: another leads after $took ms"
[ "$took" -le 5000 ] || fail "the Lease was not given up"
until_true 60 controllers_ready || fail "no second controller"

# Frozen: it believes that it leads when it wakes up, and nobody listens to it.
old=$(lease_holder) frozen=$(leader) epoch=$(epoch_on n1)
pid=$(system_pids "$frozen" empalme-controller)
kill -STOP "$pid"
until_true 30 another_leads "$old" || fail "nobody leads in place of the frozen one"
until_true 5 epochs_above "$epoch" || fail "the epoch was not raised"
epoch=$(epoch_on n1)
kubectl delete service during --wait=false >/dev/null
until_true 15 absent service during || fail "the new leader does not carry a deletion out"
kill -CONT "$pid"
not_leading() { [ "$(leading_on "$(system get pod "$frozen" -o jsonpath='{.status.podIP}')")" = 0 ]; }
until_true 10 not_leading || fail "the frozen one still leads"
make_service late 82 <<<"  loadBalancerClass: empalme.io/lb"
until_true 10 has_address late || fail "the new leader does not work"
[ "$(epoch_on n1)" -eq "$epoch" ] && [ "$(epoch_on n2)" -eq "$epoch" ] || fail "the one that woke up has published"
kubectl delete service late --timeout=20s >/dev/null || fail "a Service hangs in Terminating"
until_true 60 controllers_ready || fail "not two controllers again"

end_load leader
expect_no_failures leader
[ "$(ha_addresses)" = "$addresses" ] || fail "addresses changed: $addresses, now $(ha_addresses)"
figure "addresses as before; the frozen leader woke up to epoch $epoch and changed nothing"
