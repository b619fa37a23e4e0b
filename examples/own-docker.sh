# A Docker daemon of one's own, for the tests of the examples; sourced, before anything is started. The test runs itself
# again with a network and a /run of its own, so that the daemon is where a page's commands look for it.
# Sets `work` (a folder that goes with it); defines start_docker, die, until_true and now. Whoever sources it makes
# compose() run docker-compose.
if [ "$(id -u)" -ne 0 ]; then echo "skipped: needs root for a Docker daemon of its own"; exit 77; fi
for tool in dockerd docker docker-compose ip unshare curl python3; do
  PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || { echo "skipped: needs $tool"; exit 77; }
done
if [ "${own_machine:-}" != yes ]; then
  unshare --net --mount true || { echo "skipped: no namespaces"; exit 77; }
  own_machine=yes exec unshare --net --mount bash "$0" "$@"
fi
ip link set lo up && mount -t tmpfs -o mode=755 own /run || { echo "skipped: no machine of its own"; exit 77; }
work=$(mktemp -d)
pids=()
unset own_machine DOCKER_CONTEXT
export DOCKER_HOST=unix:///var/run/docker.sock
compose() { :; }
cleanup() {
  if docker version >/dev/null 2>&1; then
    compose down -t 1
    docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1
  fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
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

# No rules of its own, since nobody beyond its network is to be reached, unless `docker_rules` is true: published ports
# go through its proxy without them. Containers outlive the daemon.
start_docker() {
  dockerd -H "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" \
    --pidfile "$work/docker.pid" --bridge=none "--iptables=${docker_rules:-false}" --ip6tables=false \
    --live-restore >>"$work/docker.log" 2>&1 &
  docker=$!
  pids+=($docker)
}
start_docker
until_true docker version || { echo "skipped: dockerd does not start: $(tail -n 1 "$work/docker.log")"; exit 77; }
