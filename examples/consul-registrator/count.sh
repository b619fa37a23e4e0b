#!/usr/bin/env bash
# Does what README.md says: scales the counter of docker-compose.yml from one container to five and back, here under load;
# then kills containers of it under load, and holds the counter in Redis against the requests that were answered. The
# Docker daemon is one of its own; Consul is a real one, for Registrator stands registrator.py.
#   count.sh BUILD_FOLDER [published]      the latter with docker-compose.published.yml too
set -u
build=$(cd "$1" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
for package in redis-server python3-flask python3-redis gunicorn; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
    { echo "skipped: needs Debian's package $package"; exit 77; }
done
source "$here/../../tests/support/consul.sh"
unpack_consul "$build/consul" || { echo "skipped: Debian 11's package consul cannot be had"; exit 77; }
export COMPOSE_FILE=docker-compose.yml
if [ "${2:-}" = published ]; then
  COMPOSE_FILE+=:docker-compose.published.yml
  export HOST_ADDRESS=192.0.2.1
  docker_rules=true
  PATH=$PATH:/usr/sbin command -v iptables >/dev/null || { echo "skipped: needs iptables"; exit 77; }
  # The daemon would tell it of its rules, and it knows nothing of namespaces.
  if pgrep -x firewalld >/dev/null; then echo "skipped: firewalld is running"; exit 77; fi
fi
source "$here/../own-docker.sh"
source "$here/../../tests/support/page.sh"
unset COMPOSE_PROJECT_NAME DOCKER_SOCKET ADDRESS RETRY
export CONSUL_IMAGE=consul:debian REDIS_IMAGE=redis:debian COUNTER_IMAGE=counter:debian
export REGISTRATOR_IMAGE=registrator:stand-in
# So that something is under way when a container is killed.
export WORK_SECONDS=0.05
# The page's address of this host.
ip addr add 192.0.2.1/32 dev lo || die "no address"
compose() { docker-compose "$@" >>"$work/compose.log" 2>&1; }
"$here/images.sh" "$build/consul/usr/bin/consul" || die "no images"
open_page "$here/README.md" "$build" "$work"
page 'cd examples/consul-registrator'

load=("$build/empalme-demo-load" --target 127.0.0.1:8080)
hits() { docker-compose exec -T redis redis-cli get hits 2>>"$work/compose.log"; }
usable() { # how many backends get new connections
  curl -s -m 2 --unix-socket "$work/run/dataplane.sock" http://localhost/v1/state | python3 -c '
import json, sys
services = [s for s in json.load(sys.stdin)["services"] if s["key"] == "consul/counter"]
backends = services[0]["ports"][0]["backends"] if services else []
print(sum(backend.get("state", "ready") == "ready" for backend in backends))'
}
are_usable() { [ "$(usable)" = "$1" ]; }
await_usable() { # COUNT WHAT
  local begin
  begin=$(now)
  until_true are_usable "$1" || die "$2: not $1 usable containers but $(usable)"
  echo "$2: $1 usable $(($(now) - begin)) ms later"
}
said() { grep -qE "$1" "$work/told" || die "$2: $(cat "$work/told")"; }
retries() {
  curl -s -m 2 --unix-socket "$work/run/dataplane.sock" http://localhost/v1/state |
    grep -qE '"retry_before_first_byte": ?true'
}
scale() { # COUNT
  compose up -d --scale web="$1" || die "docker-compose up --scale web=$1"
  await_usable "$1" "docker-compose up --scale web=$1"
}
start_load() { # NAME
  before=$(hits)
  "${load[@]}" --rate 100 --seconds 100 --concurrency 256 --log "$work/$1.txt" >"$work/$1.json" 2>"$work/load.log" &
  loading=$!
  pids+=($loading)
}
judge() { # NAME [KILLS]
  kill -TERM $loading
  wait $loading
  python3 "$here/judge.py" "$before" "$(hits)" "$work/$1.txt" "${@:2}"
}
has_ended() { [ "$(docker inspect -f '{{.State.Running}}' "$1")" = false ]; }
kill_now() { # USABLE_AFTERWARDS CONTAINER...
  local began id
  began=$(now)
  docker kill "${@:2}" >/dev/null || die "docker kill"
  await_usable "$1" "docker kill of $(($# - 1))"
  for id in "${@:2}"; do
    until_true has_ended "$id" || die "$id does not end"
    echo "$began $(date -d "$(docker inspect -f '{{.State.FinishedAt}}' "$id")" +%s%3N)" >>"$work/kills.txt"
  done
}

page 'docker-compose up -d' >>"$work/compose.log" 2>&1
export EMPALME_WORKERS=1
page 'empalme up --source consul' >"$work/empalme.log" 2>&1
pids+=($!)
await_usable 1 "docker-compose up"
page 'curl http' >"$work/told" 2>>"$work/compose.log"
said '^[0-9a-f]{12} 1$' "not the container's id and the count"
page 'empalme explain' >"$work/told"
said '^Served as asked' "not explained"

# Each sleep is how long things are under load as they are.
start_load scaled
sleep 2
page 'docker-compose up -d --scale web=5' >>"$work/compose.log" 2>&1
await_usable 5 "--scale web=5"
sleep 5
scale 2
sleep 3
page 'docker-compose up -d --scale web=1' >>"$work/compose.log" 2>&1
await_usable 1 "--scale web=1"
sleep 2
judge scaled || die "scaled under load"
page 'redis-cli get hits' >"$work/told"
said "^$(hits)\$" "the page's command does not read the counter"

scale 5
start_load killed
sleep 2
mapfile -t webs < <(docker-compose ps -q web)
kill_now 4 "${webs[0]}"
sleep 1
kill_now 2 "${webs[1]}" "${webs[2]}"
sleep 2
scale 5
sleep 2
judge killed "$work/kills.txt" || die "killed under load"

page 'RETRY=true docker-compose up -d' >>"$work/compose.log" 2>&1
until_true retries || die "RETRY=true sets nothing"
page 'docker-compose down' >>"$work/compose.log" 2>&1
page 'export HOST_ADDRESS'
page 'docker-compose.published.yml up -d' >>"$work/compose.log" 2>&1
# Without Consul what was there last stays, so that only an answer says that the new one is found.
until_true "${load[@]}" --count 1 || die "a published container is not found"
page 'curl http' >"$work/told" 2>>"$work/compose.log"
said '^[0-9a-f]{12} [0-9]+$' "a published container does not answer"
page 'docker-compose down' >>"$work/compose.log" 2>&1
page 'kill $(jobs -p)'
end_page
