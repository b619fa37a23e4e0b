#!/usr/bin/env bash
# Scales the counter of docker-compose.yml from one container to five and back under load, then kills containers of it
# under load, and holds the counter in Redis against the requests that were answered. The Docker daemon is one of its own,
# in a network namespace; Consul is a real one, for Registrator stands registrator.py.
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
files=(-f "$here/docker-compose.yml")
if [ "${2:-}" = published ]; then
  files+=(-f "$here/docker-compose.published.yml")
  docker_rules=true
  PATH=$PATH:/usr/sbin command -v iptables >/dev/null || { echo "skipped: needs iptables"; exit 77; }
  # The daemon would tell it of its rules, and it knows nothing of namespaces.
  if pgrep -x firewalld >/dev/null; then echo "skipped: firewalld is running"; exit 77; fi
fi
source "$here/../own-docker.sh"
export COMPOSE_PROJECT_NAME=counter DOCKER_SOCKET=$work/docker.sock ADDRESS=127.0.0.1 HOST_ADDRESS=192.0.2.1
export CONSUL_IMAGE=consul:debian REDIS_IMAGE=redis:debian COUNTER_IMAGE=counter:debian
export REGISTRATOR_IMAGE=registrator:stand-in
# So that something is under way when a container is killed.
export WORK_SECONDS=0.05
ip -n "$ns" addr add "$HOST_ADDRESS/32" dev lo || die "no address"
compose() { docker-compose "${files[@]}" "$@" >>"$work/compose.log" 2>&1; }
"$here/images.sh" "$build/consul/usr/bin/consul" || die "no images"

load=("${within[@]}" "$build/empalme-demo-load" --target 127.0.0.1:8080)
hits() { docker-compose "${files[@]}" exec -T redis redis-cli get hits 2>>"$work/compose.log"; }
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

compose up -d || die "docker-compose up"
"${within[@]}" "$build/empalme" up --source consul --socket-dir "$work/run" --state-dir "$work/state" --workers 1 \
  >"$work/empalme.log" 2>&1 &
pids+=($!)
await_usable 1 "docker-compose up"
"${load[@]}" --count 1 >"$work/first.json" || die "nobody answers"

# Each sleep is how long things are under load as they are.
start_load scaled
sleep 2
scale 5
sleep 5
scale 2
sleep 3
scale 1
sleep 2
judge scaled || die "scaled under load"

scale 5
start_load killed
sleep 2
mapfile -t webs < <(docker-compose "${files[@]}" ps -q web)
kill_now 4 "${webs[0]}"
sleep 1
kill_now 2 "${webs[1]}" "${webs[2]}"
sleep 2
scale 5
sleep 2
judge killed "$work/kills.txt"
