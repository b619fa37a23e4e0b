# Two Services on one address and port, told apart by name, each with a certificate of its own; shares with a canary.
ha_up || return
until_true 90 pods_are_ready web 3 || fail "the sample's pods are not ready"
folder=$cluster_dir/names
rm -rf "$folder"
mkdir -p "$folder"
kubectl get deployment web -o json | jq 'del(.status) | .metadata = {name: "canary", labels: {app: "canary"}} |
  .spec.replicas = 1 | .spec.selector.matchLabels.app = "canary" | .spec.template.metadata.labels.app = "canary"' |
  kubectl apply -f - >/dev/null
until_true 90 pods_are_ready canary 1 || fail "the canary is not ready"

# As README.md says.
kubectl delete role,rolebinding empalme-tls-secrets --ignore-not-found >/dev/null
kubectl create role empalme-tls-secrets --verb=get --resource=secrets --resource-name=shop-tls --resource-name=blog-tls >/dev/null
kubectl create rolebinding empalme-tls-secrets --role=empalme-tls-secrets --serviceaccount=empalme-system:empalme >/dev/null
named() { # NAME PODS: a Service NAME for NAME.example, with a certificate that it has signed itself
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
    -addext "subjectAltName=DNS:$1.example" -keyout "$folder/$1.key" -out "$folder/$1.crt" 2>/dev/null || fail "no certificate"
  kubectl create secret tls "$1-tls" --cert="$folder/$1.crt" --key="$folder/$1.key" --dry-run=client -o yaml |
    kubectl apply -f - >/dev/null
  kubectl apply -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata:
  name: $1
  annotations:
    empalme.io/share-key: names
    empalme.io/match.names: $1.example
    empalme.io/tls.secrets: $1-tls
spec:
  type: LoadBalancer
  loadBalancerClass: empalme.io/lb
  selector: {app: $2}
  ports: [{name: https, port: 443, targetPort: 8080}]
Y
}
asks() { from_client --cacert "$folder/$1.crt" --resolve "$1.example:443:$vip" "https://$1.example/"; }
served_by() { [[ $(asks "$1") == *"$2-"* ]]; }
named shop web
named blog canary
until_true 20 has_address shop && until_true 20 has_address blog || fail "no address: $(condition blog Accepted)"
vip=$(service_ip shop)
[ "$(service_ip blog)" = "$vip" ] || fail "not one address: $vip and $(service_ip blog)"
until_true 40 served_by shop web || fail "shop.example: $(asks shop), $(condition shop Degraded)"
until_true 40 served_by blog canary || fail "blog.example: $(asks blog), $(condition blog Degraded)"
kubectl delete service shop --timeout=20s >/dev/null || fail "a Service hangs in Terminating"
unknown() { asks shop >/dev/null 2>&1; [ $? -eq 35 ]; }
until_true 10 unknown || fail "the name of a Service that is gone is not refused in TLS"
served_by blog canary || fail "blog.example is gone with it"
figure "one address for two names, each with its own certificate; the other stays when one goes"

canary_has() { # EXPECTED: percent of 1,000 connections
  local share
  ip netns exec client "$cluster_root/build/empalme-demo-load" --target "$split:80" --count 1000 --concurrency 4 >"$folder/load.json"
  share=$(jq '[.backends | to_entries[] | select(.key | startswith("canary-")) | .value.count] | (add // 0) / 10' "$folder/load.json")
  shown+=" $share %"
  jq -e ".failed == 0 and ($share - $1 | fabs) <= 1" "$folder/load.json" >/dev/null
}
kubectl apply -f - >/dev/null <<'Y'
apiVersion: v1
kind: Service
metadata: {name: split-canary}
spec: {selector: {app: canary}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: split, annotations: {empalme.io/groups: "split=90, split-canary=10"}}
spec:
  type: LoadBalancer
  loadBalancerClass: empalme.io/lb
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
Y
until_true 20 has_address split || fail "no address for split"
split=$(service_ip split) shown=
until_true 10 answers "$split" 80 || fail "split is not served"
canary_has 10 || fail "with 90 to 10 the canary has$shown"
kubectl annotate --overwrite service split "empalme.io/groups=split=50, split-canary=50" >/dev/null
until_true 10 canary_has 50 || fail "with 50 to 50 the canary has$shown"
figure "the canary's share of connections, told 10 and then 50:$shown"
kubectl delete service blog split split-canary --timeout=20s >/dev/null || fail "a Service hangs in Terminating"
kubectl delete deployment canary >/dev/null
kubectl delete secret shop-tls blog-tls >/dev/null
rm -rf "$folder"
