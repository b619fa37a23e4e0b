#!/usr/bin/env bash
# The three web servers behind nginx and then behind Empalme, each under 200 new connections a second while a server is
# killed and started again, and another one is made anew at another address. Says what failed, how long the slowest
# took, and whether the new address was found. Then does what README.md says. Exit code 0: behind Empalme nothing failed,
# the new address was found, and the page's commands do what it says.
#   compare.sh BUILD_FOLDER
set -u
build=$(cd "$1" && pwd) || exit 2
here=$(cd "$(dirname "$0")" && pwd)
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || { echo "skipped: needs nginx"; exit 77; }
source "$here/../own-docker.sh"
source "$here/../../tests/support/page.sh"
unset BACKENDS ALLOWED CONNECT_TIMEOUT_MS ADDRESS PORT EMPALME_IMAGE COMPOSE_PROJECT_NAME COMPOSE_FILE
export NGINX_IMAGE=nginx:local
file=docker-compose.yml
compose() { docker-compose -f "$file" "$@" >>"$work/compose.log" 2>&1; }
open_page "$here/README.md" "$build" "$work"
skip_in_page 'docker build'
page 'examples/image.sh build'
page 'cd examples/compose-three-web'
echo "root:x:0:0:root:/:/" >"$work/passwd"
echo "root:x:0:" >"$work/group"
mkdir -p "$work/empty" && touch "$work/empty/error.log"
"$here/../image.sh" "$build" nginx:local "$nginx" "$work/passwd=/etc/passwd" "$work/group=/etc/group" \
  "$work/empty/error.log=/var/log/nginx/error.log" "$work/empty/error.log=/var/lib/nginx/none" || die "no image of nginx"

answers() { "$build/empalme-demo-load" --target "127.0.0.1:${1:-8080}" --count 1; }
id_of() { docker-compose -f "$file" ps -q "$1" 2>/dev/null; }
address_of() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(id_of "$1")"; }
# Somebody else has its address by then, as in a network that lives.
make_anew() { # SERVICE
  local before
  before=$(address_of "$1")
  compose rm -sf "$1" || die "cannot remove $1"
  docker run -d --rm --name taker --network compose-three-web_default empalme:0.1.0 empalme-demo-web >>"$work/compose.log" 2>&1 ||
    die "nobody takes the address"
  compose up -d --no-deps "$1" || die "cannot make $1 anew"
  [ "$(address_of "$1")" != "$before" ] || die "$1 has its address again"
}
run() { # NAME FILE
  file=$2
  compose up -d || die "$1: docker-compose up"
  until_true answers || die "$1: nobody answers"
  "$build/empalme-demo-load" --target 127.0.0.1:8080 --rate 200 --seconds 60 --concurrency 256 \
    --log "$work/$1.txt" >"$work/$1.json" 2>"$work/load.log" &
  local load=$!
  pids+=($load)
  sleep 2
  local web2
  web2=$(id_of web2)
  docker kill "$web2" >/dev/null || die "$1: docker kill"
  sleep 4
  docker start "$web2" >/dev/null || die "$1: docker start"
  sleep 2
  make_anew web3
  # Names are asked for every five seconds.
  sleep 7
  local settled
  settled=$(now)
  sleep 3
  kill -TERM $load
  wait $load
  python3 "$here/report.py" "$1" "$work/$1.txt" "$settled" "$(now)"
  local code=$?
  docker rm -f taker >/dev/null 2>&1
  compose down -t 1
  return $code
}
said() { grep -qE "$1" "$work/told" || die "$2: $(cat "$work/told")"; }
served_by() { # PORT "NAME NAME..."
  [ "$(for _ in $(seq 12); do curl -s -m 5 "http://127.0.0.1:$1/"; done | sort -u | tr '\n' ' ')" = "$2 " ]
}
follow_page() {
  page 'docker-compose up -d' >>"$work/compose.log" 2>&1
  until_true served_by 8080 "web1 web2 web3" || die "not all three serve"
  page 'curl http://127.0.0.1:8080/' >"$work/told" 2>>"$work/compose.log"
  said '^web[123]$' "nobody answers"
  page 'empalme status' >"$work/told"
  said '^file/web .* 3/3 .* serving$' "not shown as served"
  page 'docker-compose kill web2' >>"$work/compose.log" 2>&1
  served_by 8080 "web1 web3" || die "somebody notices that web2 is killed"
  page 'docker-compose up -d' >>"$work/compose.log" 2>&1
  until_true served_by 8080 "web1 web2 web3" || die "web2 is not back"
  page 'PORT=9000 BACKENDS=web1:8080,web2:8080' >>"$work/compose.log" 2>&1
  until_true served_by 9000 "web1 web2" || die "not these two on the other port"
  answers 8080 >/dev/null 2>&1 && die "the old port answers still"
  page 'curl http://127.0.0.1:9000/' >"$work/told" 2>>"$work/compose.log"
  said '^web[12]$' "nobody answers on the other port"
  page 'docker-compose down' >>"$work/compose.log" 2>&1
  end_page
  echo "the page's commands do what it says"
}
run nginx docker-compose.nginx.yml
run empalme docker-compose.yml || exit 1
follow_page
