# A Docker daemon of one's own, in a network namespace and with its own data, for the tests of the examples; sourced.
# Sets `work` (a folder that goes with it), `ns`, `within` (a command's beginning that runs it beside the containers)
# and DOCKER_HOST; defines start_docker, die, until_true and now. Whoever sources it makes compose() run docker-compose.
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root for a Docker daemon of its own"; exit 77; fi
for tool in dockerd docker docker-compose ip nsenter curl python3; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
done
work=$(mktemp -d)
ns=dk-$$
pids=()
export DOCKER_HOST=unix://$work/docker.sock
# By `ip netns exec` the daemon would see no control groups.
within=(nsenter "--net=/run/netns/$ns")
compose() { :; }
cleanup() {
  if [ -S "$work/docker.sock" ]; then
    compose down -t 1
    docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  ip netns del "$ns" 2>/dev/null
  # A daemon whose containers may outlive it keeps its folder mounted.
  umount "$work/data" 2>/dev/null
  # Containers of its own network leave that mounted.
  umount "$work/exec/netns/default" 2>/dev/null
  # The containers' mounts end with them; what is left over stays rather than being deleted through.
  grep -q " $work/" /proc/mounts || rm -rf "$work"
}
trap cleanup EXIT
die() { echo "FAILED: $*"; tail -n 5 "$work"/*.log; exit 1; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
now() { date +%s%3N; }

ip netns add "$ns" && ip -n "$ns" link set lo up || { echo "skipped: no network namespace"; exit 77; }
# No rules of its own, since nobody beyond the namespace is to be reached, unless `docker_rules` is true: published ports
# go through its proxy without them. Containers outlive the daemon.
start_docker() {
  "${within[@]}" dockerd -H "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" \
    --pidfile "$work/docker.pid" --bridge=none "--iptables=${docker_rules:-false}" --ip6tables=false \
    --live-restore >>"$work/docker.log" 2>&1 &
  docker=$!
  pids+=($docker)
}
start_docker
until_true docker version || { echo "skipped: dockerd does not start: $(tail -n 1 "$work/docker.log")"; exit 77; }
