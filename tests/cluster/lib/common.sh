# Paths and small helpers of the cluster suite. Sourced by every script here; root is needed.
cluster_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cluster_cache=${EMPALME_CLUSTER_CACHE:-$HOME/.cache/empalme-cluster}
cluster_bin=$cluster_cache/bin
cluster_dir=${EMPALME_CLUSTER_DIR:-/tmp/empalme-cluster}
cluster_nodes=2
image=empalme:0.1.0

lan=172.31.0
control_plane=$lan.10
client=$lan.50
witness=$lan.60
edge=$lan.70
node_address() { echo "$lan.$((10 + $1))"; }

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 2; }
in_ns() { ip netns exec "$@"; }
milliseconds() { date +%s%3N; }

# start NAMESPACE NAME PROGRAM ARGUMENT...: in the background, with a log and a pid file. nsenter and
# not ip netns exec: the latter takes a private mount namespace, which breaks pod mounts.
start() {
  local ns=$1 name=$2
  shift 2
  nohup nsenter --net="/run/netns/$ns" "$@" >>"$cluster_dir/logs/$name.log" 2>&1 &
  echo $! >"$cluster_dir/pids/$name"
  disown
}
pid_of() { cat "$cluster_dir/pids/$1" 2>/dev/null; }

# end NAME [SIGNAL]: ends what start() started, and waits for it.
end() {
  local pid
  pid=$(pid_of "$1") || return 0
  [ -n "$pid" ] && kill "-${2:-TERM}" "$pid" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null
  rm -f "$cluster_dir/pids/$1"
}

# until_true SECONDS COMMAND...: tries again every 0.1 s.
until_true() {
  local tries=$(($1 * 10))
  shift
  for _ in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  return 1
}

kubectl() { in_ns cp "$cluster_bin/kubectl" --kubeconfig="$cluster_dir/config/admin.kubeconfig" "$@"; }
