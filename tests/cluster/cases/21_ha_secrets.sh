# TLS ends with certificates in Secrets: one that comes late, one that is replaced, one that is deleted.
ha_up || return
until_true 90 pods_are_ready web 3 || fail "the sample's pods are not ready"
folder=$cluster_dir/secrets
rm -rf "$folder"
mkdir -p "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=cases \
  -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>/dev/null || fail "no authority"
certificate() { # SERIAL: a Secret for web.example, made or replaced
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web.example \
    -keyout "$folder/tls.key" -out "$folder/tls.csr" 2>/dev/null
  openssl x509 -req -in "$folder/tls.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -set_serial "$1" -days 1 \
    -extfile <(echo subjectAltName=DNS:web.example) -out "$folder/tls.crt" 2>/dev/null
  kubectl create secret tls web-tls --cert="$folder/tls.crt" --key="$folder/tls.key" --dry-run=client -o yaml |
    kubectl apply -f - >/dev/null
}
# As README.md says.
kubectl delete role,rolebinding empalme-tls-secrets --ignore-not-found >/dev/null
kubectl create role empalme-tls-secrets --verb=get --resource=secrets --resource-name=web-tls >/dev/null
kubectl create rolebinding empalme-tls-secrets --role=empalme-tls-secrets --serviceaccount=empalme-system:empalme >/dev/null
kubectl apply -f - >/dev/null <<'Y'
apiVersion: v1
kind: Service
metadata:
  name: secure
  annotations:
    empalme.io/port.https.tls.secrets: web-tls
spec:
  type: LoadBalancer
  loadBalancerClass: empalme.io/lb
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: https, port: 443, targetPort: 8080}
Y
until_true 20 condition_is secure Degraded "True SecretNotFound" || fail "without a Secret: $(condition secure Degraded)"
until_true 10 has_address secure || fail "no address"
vip=$(service_ip secure)
until_true 10 answers "$vip" 80 || fail "the port without TLS is not served"

securely() { from_client --cacert "$folder/ca.crt" --resolve "web.example:443:$vip" https://web.example/; }
served_securely() { [ -n "$(securely)" ]; }
serial() {
  in_ns client timeout 5 openssl s_client -connect "$vip:443" -servername web.example </dev/null 2>/dev/null |
    openssl x509 -noout -serial 2>/dev/null | cut -d= -f2
}
serial_is() { [ "$(serial)" = "$1" ]; }
moment=$(milliseconds)
certificate 0x11
until_true 40 served_securely || fail "not served with the Secret: $(condition secure Degraded)"
figure "served $(($(milliseconds) - moment)) ms after the Secret was made"
until_true 10 condition_is secure Degraded "False AsExpected" || fail "served, but $(condition secure Degraded)"

( failed=0 answered=0
  end=$((SECONDS + 200))
  until [ -e "$folder/enough" ] || [ "$SECONDS" -ge "$end" ]; do
    if served_securely; then answered=$((answered + 1)); else failed=$((failed + 1)); fi
  done
  echo "$answered answered, $failed failed" >"$folder/asked" ) &
asking=$!
moment=$(milliseconds)
certificate 0x12
until_true 45 serial_is 12 || fail "the certificate was not replaced: $(serial)"
figure "another certificate is served $(($(milliseconds) - moment)) ms after it was put into the Secret"
kubectl delete secret web-tls >/dev/null
until_true 45 condition_is secure Degraded "True SecretNotFound" || fail "deleted: $(condition secure Degraded)"
served_securely || fail "the last certificate is not served any more"
touch "$folder/enough"
wait "$asking"
figure "$(cat "$folder/asked") while it was replaced and deleted"
[[ $(cat "$folder/asked") == [1-9]*" 0 failed" ]] || fail "handshakes failed"
said=$(system logs -l "$ha_selector" -c controller --tail=-1; system logs -l "$dataplane_selector" --tail=-1)
grep -q "BEGIN.*KEY" <<<"$said" && fail "a key is in a log"
# Whoever leads next knows nothing of the Secret, which is gone: what is served goes on.
system delete pod "$(leader)" --wait=false >/dev/null
until_true 60 ha_ready || fail "nobody leads again"
served_securely || fail "not served any more under the next leader"
certificates_on() { metric_lines "$1" | grep -c 'certificate="kubernetes/default/web-tls"'; }
metric_lines() {
  from_client "http://$(in_ns "$1" ip -o -4 addr show dev eth0 | awk '$4 ~ "/24" {sub("/24", "", $4); print $4; exit}'):9902/metrics"
}
[ "$(certificates_on n1)" -gt 0 ] || fail "n1 does not tell of the certificate: the next check would show nothing"
kubectl delete service secure --timeout=20s >/dev/null || fail "a Service hangs in Terminating"
no_certificates() { [ "$(certificates_on n1)" -eq 0 ] && [ "$(certificates_on n2)" -eq 0 ]; }
until_true 10 no_certificates || fail "a data plane keeps the certificate of a Service that is gone"
rm -rf "$folder"
