#!/usr/bin/env bash
# Makes certificates for the names of lb.yaml, and an authority that has signed them, good for some days: for trying out.
#   certificates.sh FOLDER [NAME...]     shop admin mail
set -eu
folder=$1
shift
[ $# -gt 0 ] || set -- shop admin mail
mkdir -p "$folder"
cd "$folder"
[ -f authority.pem ] ||
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=authority \
    -keyout authority.key -out authority.pem 2>/dev/null
for name in "$@"; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name.test" -keyout "$name.key" \
    -out "$name.csr" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 \
    -extfile <(echo "subjectAltName=DNS:$name.test") -out "$name.crt" 2>/dev/null
  # In one step, so that nobody reads half of it.
  cat "$name.crt" "$name.key" >"$name.new"
  mv "$name.new" "$name.pem"
done
