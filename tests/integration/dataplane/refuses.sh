#!/usr/bin/env bash
# The real program is sent states that it must refuse: the answer says what and where, what is served
# goes on, and nothing crashes.
set -u
program=$1
work=$(mktemp -d)
broken=0
trap 'kill "$running" 2>/dev/null; wait; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 5 "$work/run.log"; broken=1; }

"$program" --admin "unix:$work/admin.sock" --state-dir "$work/held" 2>"$work/run.log" &
running=$!
for _ in $(seq 50); do [ -S "$work/admin.sock" ] && break; sleep 0.1; done
ask() { curl -s -m 60 --unix-socket "$work/admin.sock" "$@"; }
put() { ask -X PUT --data-binary @- -w '\n%{http_code}' localhost/v1/state; }
state() { echo "{\"schema\":\"empalme.io/v1\",\"epoch\":1,\"generation\":$1,\"services\":[$2]}"; }

good='{"key":"file/web","addresses":["127.0.0.1"],"ports":[{"port":18765,"backends":[{"address":"127.0.0.1","port":9}]}]}'
[[ $(state 1 "$good" | put) == *'"failed":[]'*200 ]] || fail "a good state is refused"
# The last part of a pipeline runs in this shell, so that a failure in it is remembered.
shopt -s lastpipe
before=$(ask localhost/v1/state)

expect() { # CODE TEXT, the document on standard input
  local answer
  answer=$(put)
  [ "${answer##*$'\n'}" = "$1" ] && [[ $answer == *"$2"* ]] || fail "expected $1 and $2, got: $answer"
  [ "$(ask localhost/v1/state)" = "$before" ] || fail "the state changed: $2"
}
echo '{"schema":' | expect 400 '"reason":"Syntax"'
state 2 '{"key":"a","key":"b"}' | expect 400 '"reason":"Syntax"'
state 2 '{"key":"a","adresses":[]}' | expect 422 '"pointer":"/services/0/adresses"'
state 2 '{"key":"a","addresses":["127.0.0.1"],"ports":[{"port":70000}]}' | expect 422 '"pointer":"/services/0/ports/0/port"'
state 2 "$good,$good" | expect 422 '"reason":"Schema"'
state 2 '{"key":"a","policy":{"balance":"fastest"}}' | expect 422 '"pointer":"/services/0/policy/balance"'
state 1 '' | expect 409 '"generation":1'
head -c 100000 /dev/zero | tr '\0' '[' | expect 413 '"reason":"TooDeep"'
head -c 65000000 /dev/zero | tr '\0' ' ' | expect 400 '"reason"'
head -c 70000000 /dev/zero | tr '\0' ' ' | expect 413 '"reason":"TooLarge"'
head -c 3000 /dev/urandom | expect 400 '"reason":"Syntax"'
[ "$(ask -o /dev/null -w '%{http_code}' -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" localhost/healthz)" = 431 ] ||
  fail "a header of 20 kB must be refused"

refused='{"key":"kubernetes/a/b","addresses":["127.0.0.1","192.0.2.1"],"ports":[{"port":80,"backends":[{"address":"169.254.169.254","port":80}]}]}'
answer=$(state 2 "$good,$refused" | put)
[[ $answer == *'"AddressRefused"'*200 ]] || fail "a refused address must not refuse the rest: $answer"
kill -0 "$running" || fail "it has ended"
ask localhost/metrics | grep -q 'changes_refused_total{reason="Schema"} 4' || fail "refusals are not counted"
exit $broken
