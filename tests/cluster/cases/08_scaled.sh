# To no pod and back: at zero a connect is refused or reset at once, at three it serves again.
vip=$(service_ip web)
kubectl scale deployment web --replicas=0 >/dev/null
until_true 60 pods_are_ready web 0 || fail "the pods did not go"
sleep 1
slowest=0
for _ in $(seq 10); do
  began=$(date +%s%N)
  ask "$vip" >/dev/null
  code=$?
  took=$((($(date +%s%N) - began) / 1000000))
  # Refused, or reset while curl sends or reads.
  [[ " 7 52 55 56 " == *" $code "* ]] || fail "curl ended with $code, neither refused nor reset"
  [ "$took" -gt "$slowest" ] && slowest=$took
done
in_ns client "$cluster_root/build/empalme-demo-load" --target "$vip:80" --count 50 --concurrency 1 >"$cluster_dir/logs/load-empty.json"
figure "at zero: $(report_of empty '.causes | tostring'), slowest $(report_of empty .ms.max) ms (with curl's start: $slowest ms)"
[ "$(report_of empty .ms.max)" -le 5 ] || fail "slower than 5 ms"
kubectl scale deployment web --replicas=3 >/dev/null
until_true 60 eval '[ "$(ready_pods web)" -ge 1 ]'
ready=$(milliseconds)
until_true 5 answers "$vip" || fail "does not serve again"
figure "served $(($(milliseconds) - ready)) ms after the first pod was seen ready"
[ $(($(milliseconds) - ready)) -le 1000 ] || fail "later than 1 s"
until_true 60 pods_are_ready web 3
