# What the cases are written with: waiting, asking, driving load, and saying what was measured.

failures=0
fail() { say "    FAILED: $*"; failures=$((failures + 1)); }
figure() { say "    $*"; }
# check TEXT COMMAND...
check() {
  local text=$1
  shift
  "$@" >/dev/null 2>&1 || fail "$text"
}

service_ip() { kubectl get service "$1" -o jsonpath='{.status.loadBalancer.ingress[0].ip}' 2>/dev/null; }
has_address() { [ -n "$(service_ip "$1")" ]; }
from_client() { in_ns client curl -s -m 3 "$@"; }
ask() { from_client "http://$1${2:+:$2}/"; }
answers() { [ -n "$(ask "$@")" ]; }
ready_pods() { kubectl get pods -l "app=$1" --no-headers 2>/dev/null | grep -c ' 1/1 .*Running'; }
pods_are_ready() { [ "$(ready_pods "$1")" -eq "$2" ] && [ "$(kubectl get pods -l "app=$1" --no-headers 2>/dev/null | wc -l)" -eq "$2" ]; }
first_pod() { kubectl get pods -l "app=$1" -o jsonpath='{.items[0].metadata.name}'; }
empalme_node() { kubectl -n empalme-system get pods -l app.kubernetes.io/name=empalme -o jsonpath='{.items[0].spec.nodeName}'; }
empalme_ready() { kubectl -n empalme-system rollout status deployment/empalme --timeout=1s; }
# Not grep -q: it ends at the first hit, and ip with it by SIGPIPE.
vip_on() { in_ns "$1" ip -o addr show dev eth0 | grep " $2/32" >/dev/null; }
vip_nowhere() { ! vip_on n1 "$1" && ! vip_on n2 "$1"; }
metric() { # NODE NAME: of the data plane
  local address
  address=$(in_ns "$1" ip -o -4 addr show dev eth0 | awk '$4 ~ "/24" {sub("/24", "", $4); print $4; exit}')
  from_client "http://$address:9902/metrics" | awk -v n="$2" '$1 == n {print $2}'
}

metric_sum() { # PORT NAME: over all labels, on the node that runs Empalme
  local address
  address=$(in_ns "$(empalme_node)" ip -o -4 addr show dev eth0 | awk '$4 ~ "/24" {sub("/24", "", $4); print $4; exit}')
  from_client "http://$address:$1/metrics" | awk -v n="$2" 'index($1, n) == 1 {sum += $2} END {print sum + 0}'
}

# load NAME ARGUMENT...: in the background from several addresses of the client; its report is for
# report_of.
load() {
  local name=$1
  shift
  ip netns exec client "$cluster_root/build/empalme-demo-load" --source "$lan.50,$lan.51,$lan.52,$lan.53,$lan.54" \
    --log "$cluster_dir/logs/load-$name.txt" "$@" >"$cluster_dir/logs/load-$name.json" 2>"$cluster_dir/logs/load-$name.err" &
  echo $! >"$cluster_dir/pids/load-$name"
}
end_load() {
  local pid
  pid=$(pid_of "load-$1")
  kill -TERM "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  rm -f "$cluster_dir/pids/load-$1"
}
report_of() { jq -r "$2" "$cluster_dir/logs/load-$1.json"; }
expect_no_failures() { # NAME
  local ok failed
  ok=$(report_of "$1" .ok) failed=$(report_of "$1" .failed)
  figure "load $1: ${ok:-0} answered, ${failed:-?} failed $(report_of "$1" '.causes | tostring')"
  [ "${ok:-0}" -gt 0 ] && [ "${failed:-1}" -eq 0 ] || fail "requests failed: $(report_of "$1" '[.failures[:3][]] | tostring')"
}
# Requests may fail only where they were under way at that moment.
expect_only_in_flight() { # NAME MOMENT
  local ok explained unexplained
  ok=$(report_of "$1" .ok)
  explained=$(report_of "$1" "[.failures[] | select(.began <= $2 + 50 and .began + .ms >= $2 - 5)] | length")
  unexplained=$(($(report_of "$1" .failed) - explained))
  figure "load $1: ${ok:-0} answered, $explained in flight at that moment failed, $unexplained failed otherwise"
  [ "${ok:-0}" -gt 0 ] && [ "$unexplained" -eq 0 ] || fail "requests failed: $(report_of "$1" '[.failures[:3][]] | tostring')"
}

# The processes of a pod's container, by the pod's uid in their cgroup.
pod_pids() { # POD [PROGRAM]
  local uid pid
  uid=$(kubectl get pod "$1" -o jsonpath='{.metadata.uid}')
  for pid in $(find /sys/fs/cgroup/pids/empalme-n* -path "*$uid*" -name tasks -exec cat {} + 2>/dev/null | sort -u); do
    grep -q "${2:-empalme-demo-web}" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
  done
}
empalme_pid() { # PROGRAM
  local uid pid
  uid=$(kubectl -n empalme-system get pods -l app.kubernetes.io/name=empalme -o jsonpath='{.items[0].metadata.uid}')
  for pid in $(find /sys/fs/cgroup/pids/empalme-n* -path "*$uid*" -name tasks -exec cat {} + 2>/dev/null | sort -u); do
    grep -q "$1" "/proc/$pid/cmdline" 2>/dev/null && { echo "$pid"; return; }
  done
}

# A Service NAME for the pods of the sample, with more of the spec from standard input.
make_service() { # NAME PORT
  { printf 'apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\nspec:\n  type: LoadBalancer\n  selector: {app: web}\n  ports:\n    - {name: http, port: %s, targetPort: 8080}\n' "$1" "$2"
    cat; } | kubectl apply -f - >/dev/null
}
condition() { # SERVICE TYPE: "status reason"
  kubectl get service "$1" -o json | jq -r --arg t "empalme.io/$2" '.status.conditions[]? | select(.type == $t) | .status + " " + .reason'
}
condition_is() { [ "$(condition "$1" "$2")" = "$3" ]; }
# The same manifest again changes nothing: every object is defined as before, and no pod is another. What
# kubectl says is no witness: it calls a PodDisruptionBudget "configured" each time.
changes_nothing() { # ARGUMENT... of kubectl apply
  local before
  before=$(system_pods; definitions "$@")
  kubectl apply "$@" >/dev/null || return 1
  [ "$(system_pods; definitions "$@")" = "$before" ]
}
definitions() {
  kubectl get "$@" -o json | jq -S '[.items[] | del(.status, .metadata.resourceVersion, .metadata.managedFields)]'
}
system_pods() { kubectl -n empalme-system get pods -o jsonpath='{range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}' | sort; }
absent() { ! kubectl get "$@" >/dev/null 2>&1; }
# Services without anything of ours.
services_free() {
  local left
  left=$(kubectl get services -A -o json | jq -r '.items[] | select((.metadata.finalizers // [] | tostring | contains("empalme")) or (.status.conditions // [] | tostring | contains("empalme")) or ((.spec.type == "LoadBalancer") and (.status.loadBalancer.ingress // [] | length > 0))) | .metadata.name')
  [ -z "$left" ]
}
# What the data plane holds on a node, beside its state folder, which uninstall names.
nodes_clean() {
  local node
  for node in n1 n2; do
    in_ns "$node" ip -o addr show dev eth0 | grep -q '/32' && return 1
    in_ns "$node" nft list table inet empalme >/dev/null 2>&1 && return 1
  done
  return 0
}
# A watch begins with WatchList where the API server knows it; lists are for those that do not, and for
# one that was cut short.
unused_rights=()
for each in services nodes namespaces endpointslices addresspools; do unused_rights+=(--unused "$each:list"); done
