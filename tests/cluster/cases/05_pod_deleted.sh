# Pods deleted and rolled under a steady load of new connections: no request fails.
vip=$(service_ip web)
load deleted --target "$vip:80" --rate 200 --seconds 60
sleep 1
pod=$(first_pod web)
deleted=$(milliseconds)
kubectl delete pod "$pod" --wait=true >/dev/null
until_true 30 pods_are_ready web 3 || fail "the pods did not become ready again"
sleep 1
end_load deleted
expect_no_failures deleted
last=$(report_of deleted ".backends[\"$pod\"].last // 0")
figure "last new connection to the deleted pod $((last - deleted)) ms after kubectl delete was called"

load rolled --target "$vip:80" --rate 200 --seconds 120
kubectl rollout restart deployment/web >/dev/null
kubectl rollout status deployment/web --timeout=90s >/dev/null || fail "the rolling restart did not end"
until_true 30 pods_are_ready web 3
sleep 1
end_load rolled
expect_no_failures rolled

# Without the pause before it stops, a pod refuses before everybody has heard that it goes.
kubectl patch deployment web --type=json -p '[{"op":"remove","path":"/spec/template/spec/containers/0/lifecycle"}]' >/dev/null
kubectl rollout status deployment/web --timeout=90s >/dev/null
until_true 30 pods_are_ready web 3
load abrupt --target "$vip:80" --rate 200 --seconds 120
kubectl rollout restart deployment/web >/dev/null
kubectl rollout status deployment/web --timeout=90s >/dev/null
until_true 30 pods_are_ready web 3
sleep 1
end_load abrupt
figure "without preStop: $(report_of abrupt .ok) answered, $(report_of abrupt .failed) failed $(report_of abrupt '.causes | tostring')"
figure "(a refused connect moves on to another pod unseen; only a connection that a pod had accepted and not yet answered when it ended can fail)"
kubectl apply -f "$cluster_root/manifests/samples/web.yaml" >/dev/null
kubectl rollout status deployment/web --timeout=90s >/dev/null
until_true 30 pods_are_ready web 3 || fail "the sample did not come back"
