#!/usr/bin/env bash
# Does what README.md says: scales docker-compose.yml from one container to five and down to two, here under 200 new
# connections a second; then stalls the Docker daemon and restarts it, and says what all that cost. The daemon is one
# of its own.
#   scale.sh BUILD_FOLDER
set -u
build=$(cd "$1" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../own-docker.sh"
source "$here/../../tests/support/page.sh"
unset ADDRESS COMPOSE_PROJECT_NAME COMPOSE_FILE
ids() { docker ps -q --no-trunc | sort; }
compose() { docker-compose -f "$here/docker-compose.yml" -p docker-labels "$@" >>"$work/compose.log" 2>&1; }
open_page "$here/README.md" "$build" "$work"
export EMPALME_WORKERS=1
page 'examples/image.sh build'
page 'empalme up --source docker' >"$work/empalme.log" 2>&1
pids+=($!)
page 'cd examples/docker-labels'
stale() { # 0 or 1
  curl -s -m 2 --unix-socket "$work/run/controller.sock" http://localhost/metrics |
    grep -qx "empalme_controller_sources_stale $1"
}
# How long until the source is stale, or fresh, in milliseconds.
wait_stale() {
  local begin
  begin=$(now)
  until_true stale "$1" || die "the source is not $([ "$1" = 1 ] && echo stale || echo fresh)"
  echo $(($(now) - begin))
}
page 'docker-compose up -d --scale web=1' >>"$work/compose.log" 2>&1
answers() { "$build/empalme-demo-load" --target 127.0.0.1:8080 --count 1; }
until_true answers || die "nobody answers"
said() { grep -qE "$1" "$work/told" || die "$2: $(cat "$work/told")"; }
page 'curl http' >"$work/told" 2>"$work/curl.log"
said "^$(docker ps -q)\$" "the container does not say its id"
page 'empalme status' >"$work/told"
said '^docker/docker-labels/web .* 1/1 .* serving$' "not shown as served"
page 'empalme explain' >"$work/told"
said '^Served as asked' "not explained"

# When a container's first good health check ended, in milliseconds of Unix time.
ready_at() {
  docker inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{.End.UnixMilli}}
{{end}}' "$1" | awk '$1 == "0" && NF == 2 { print $2; exit }'
}
all_healthy() { # COUNT
  local healthy
  healthy=$(docker ps -q --filter health=healthy | wc -l)
  [ "$healthy" -eq "$1" ]
}
first=$(ids)
"$build/empalme-demo-load" --target 127.0.0.1:8080 --rate 200 --seconds 120 \
  --concurrency 256 --log "$work/load.txt" >"$work/load.json" 2>"$work/load.log" &
load=$!
pids+=($load)
sleep 2
page 'docker-compose up -d --scale web=5' >>"$work/compose.log" 2>&1
until_true all_healthy 5 || die "not all five are healthy"
# The daemon keeps the last five results of a check.
for id in $(ids); do [ "$id" = "$first" ] || echo "${id:0:12} $(ready_at "$id")"; done >"$work/ready.txt"
sleep 1
echo "five $(now)" >"$work/phases.txt"
sleep 6
echo "end $(now)" >>"$work/phases.txt"
page 'docker-compose up -d --scale web=2' >>"$work/compose.log" 2>&1
sleep 0.5
echo "two $(now)" >>"$work/phases.txt"
sleep 5
echo "end $(now)" >>"$work/phases.txt"
kill -STOP $docker
stalled=$(wait_stale 1)
sleep 1
kill -CONT $docker
echo "the daemon stalls: stale after $stalled ms; goes on: fresh after $(wait_stale 0) ms"
[ "$stalled" -le 10000 ] || die "stale too late"
kill -TERM $docker
stopped=$(wait_stale 1)
wait $docker
start_docker
echo "the daemon restarts: stale after $stopped ms; is back: fresh after $(wait_stale 0) ms"
sleep 1
kill -TERM $load
wait $load
page 'ADDRESS=127.0.0.2 docker-compose up -d' >>"$work/compose.log" 2>&1
until_true "$build/empalme-demo-load" --target 127.0.0.2:8080 --count 1 || die "nobody answers at the other address"
answers >/dev/null 2>&1 && die "the old address answers still"
page 'docker-compose down' >>"$work/compose.log" 2>&1
[ -z "$(docker ps -aq)" ] || die "containers are left"
page 'kill $(jobs -p)'
end_page
python3 "$here/judge.py" "$work/load.txt" "$work/ready.txt" "$work/phases.txt"
