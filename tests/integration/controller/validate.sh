#!/usr/bin/env bash
# The real program on files that are good, bad, refused, missing and unreadable.
set -u
program=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
broken=0

# expect CODE TEXT ARGUMENT...: exit code, and words that must be in what it prints.
expect() {
  local code=$1 text=$2 printed got
  shift 2
  printed=$("$program" "$@" 2>&1 </dev/null)
  got=$?
  if [ $got -ne "$code" ] || [[ $printed != *"$text"* ]]; then
    printf 'validate %s: expected exit %s and "%s", got exit %s and: %s\n' "$*" "$code" "$text" $got "$printed"
    broken=1
  fi
}

expect 0 '1 service, 1 listener, 3 backends by address' validate "$root/examples/ports-4000-4002/lb.yaml"

printf 'services:\n  - name: web\n    listen: 127.0.0.1:8080\n    bakends: []\n' >"$work/typo.yaml"
expect 1 "unknown field 'bakends' at line 4, column 5" validate "$work/typo.yaml"
printf 'services: [\n' >"$work/open.yaml"
expect 1 'at line 2' validate "$work/open.yaml"
printf 'services: [{name: a, listen: 10.0.0.1:80, backends: ["169.254.169.254:80"]}]\n' >"$work/metadata.yaml"
expect 1 '169.254.169.254 is link-local' validate "$work/metadata.yaml"
head -c 200000 /dev/urandom >"$work/noise.yaml"
expect 1 "$work/noise.yaml" validate "$work/noise.yaml"

printf 'services:\n- {name: a, listen: 127.0.0.1:443, tls: {certificates: [absent.pem]}}\n' >"$work/tls.yaml"
expect 1 "$work/absent.pem: No such file or directory at line 2" validate "$work/tls.yaml"

expect 2 'No such file or directory' validate "$work/absent.yaml"
expect 2 'Is a directory' validate "$work"
expect 1 'the file is empty' validate -
expect 2 'FILE is required' validate

printf 'services: [{name: a, listen: 127.0.0.1:80, policy: {mode: kernel}}]\n' >"$work/unserved.yaml"
expect 1 'policy.mode is not served' validate "$work/unserved.yaml"
printf 'services: [{name: a, listen: 127.0.0.1:80}, {name: b, listen: 127.0.0.1:80}]\n' >"$work/twice.yaml"
expect 1 'Conflict' validate "$work/twice.yaml"
printf 'services: [{name: a, listen: 127.0.0.1:80, backends: ["127.0.0.1:80"]}]\n' >"$work/loop.yaml"
expect 1 'answered by this data plane itself' validate "$work/loop.yaml"

printf 'services: [{name: web, listen: "127.0.0.1:${PORT}", backends: ["127.0.0.1:4000", "web1:80"]}]\n' >"$work/base.yaml"
printf 'services:\n  - name: web\n    policy: {drain_s: 7}\n' >"$work/production.yaml"
export PORT=8088
expect 0 '"port": 8088' validate --show "$work/base.yaml" "$work/production.yaml"
expect 0 '"drain_s": 7' validate --show "$work/base.yaml" "$work/production.yaml"
expect 0 '1 backend by address, 1 by name' validate "$work/base.yaml" "$work/production.yaml"
cat >"$work/groups.yaml" <<'Y'
services:
  - name: shop
    listen: 127.0.0.1:8081
    groups:
      - {name: old, weight: 9, backends: "10.0.0.1:1, web1:2"}
      - {name: new, service: kubernetes/shop/web, port: 80}
Y
"$program" validate --show "$work/groups.yaml" >"$work/groups.shown" || broken=1
grep -q '"service": "kubernetes/shop/web"' "$work/groups.shown" || { echo "FAILED: a joined service is not shown"; broken=1; }
grep -q '"web1:2"' "$work/groups.shown" || { echo "FAILED: a group's backend by name is not shown"; broken=1; }
cp "$work/groups.shown" "$work/groups2.yaml"
"$program" validate --show "$work/groups2.yaml" | cmp - "$work/groups.shown" || broken=1
"$program" validate --show "$work/base.yaml" "$work/production.yaml" >"$work/shown.yaml"
"$program" validate --show "$work/shown.yaml" | cmp - "$work/shown.yaml" || broken=1
expect 0 '' --source "file:$work/base.yaml" --source "file:$work/production.yaml" --check
PORT='' expect 1 "$work/base.yaml: '127.0.0.1:' is not ADDRESS:PORT" validate "$work/base.yaml"
unset PORT
expect 1 "base.yaml: the variable PORT is not set" validate "$work/base.yaml"
expect 2 'No such file' --source "file:$work/absent.yaml" --check
expect 0 '' --source "file:$root/examples/ports-4000-4002/lb.yaml" --check
expect 0 'Examples' --help
expect 0 'empalme-controller ' --version
exit $broken
