# Nodes: containerd, kubelet and kube-proxy in a namespace each. cgroup v1 as found on the machine.

write_cni() { # NODE NUMBER
  mkdir -p "$1/cni"
  cat >"$1/cni/10-pods.conflist" <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$1/ipam", "ranges": [[{"subnet": "10.244.$2.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
}

# No capability to lower an oom score here, so containerd is told to live with that.
write_containerd() { # FOLDER
  cat >"$1/containerd.toml" <<C
version = 3
root = "$1/containerd"
state = "$1/containerd-state"
[grpc]
  address = "$1/containerd.sock"
[ttrpc]
  address = "$1/containerd.ttrpc"
[debug]
  level = "warn"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "empalme.test/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$1/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
C
}

write_kubelet() { # FOLDER NUMBER
  cat >"$1/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $cluster_dir/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $cluster_dir/pki/n$2.crt
tlsPrivateKeyFile: $cluster_dir/pki/n$2.key
containerRuntimeEndpoint: unix://$1/containerd.sock
podLogsDir: $1/pod-logs
cgroupDriver: cgroupfs
cgroupRoot: /empalme-n$2
cgroupsPerQOS: true
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
resolvConf: ""
localStorageCapacityIsolation: false
C
}

make_cgroups() { # NUMBER
  local controller folder
  for controller in cpu cpuacct cpuset memory pids systemd blkio hugetlb; do
    [ -d "/sys/fs/cgroup/$controller" ] && mkdir -p "/sys/fs/cgroup/$controller/empalme-n$1"
  done
  folder=/sys/fs/cgroup/cpuset/empalme-n$1
  [ -f "$folder/cpuset.cpus" ] || return 0
  cat /sys/fs/cgroup/cpuset/cpuset.cpus >"$folder/cpuset.cpus"
  cat /sys/fs/cgroup/cpuset/cpuset.mems >"$folder/cpuset.mems"
}

import_images() { # FOLDER
  local tar
  for tar in "$cluster_dir"/images/*.tar; do
    "$cluster_bin/ctr" -a "$1/containerd.sock" -n k8s.io images import "$tar" >>"$cluster_dir/logs/import.log" 2>&1 ||
      die "$tar could not be imported"
  done
}

# A machine of its own has a /var/lib/empalme of its own; both nodes are on this one's disk. Whatever a
# node mounts goes with the last process in its mount namespace.
disk_up() { # NUMBER
  local folder=$cluster_dir/n$1/var-lib-empalme
  mkdir -p "$folder" /var/lib/empalme
  # shellcheck disable=SC2016
  start "n$1" "disk-n$1" unshare --mount --propagation private \
    sh -c 'mount --bind "$0" /var/lib/empalme && exec sleep infinity' "$folder"
  until_true 5 on_disk "$1" mountpoint -q /var/lib/empalme || die "n$1 has no disk"
}
on_disk() { # NUMBER COMMAND...
  local number=$1
  shift
  nsenter --mount="/proc/$(pid_of "disk-n$number")/ns/mnt" "$@"
}
start_on_node() { # NUMBER NAME PROGRAM ARGUMENT...
  local number=$1 name=$2
  shift 2
  start "n$number" "$name-n$number" nsenter --mount="/proc/$(pid_of "disk-n$number")/ns/mnt" "$@"
}

node_up() { # NUMBER
  local folder=$cluster_dir/n$1
  mkdir -p "$folder/kubelet"
  write_cni "$folder" "$1"
  write_containerd "$folder"
  write_kubelet "$folder" "$1"
  make_cgroups "$1"
  disk_up "$1"
  PATH=$cluster_bin:$PATH start_on_node "$1" containerd "$cluster_bin/containerd" --config "$folder/containerd.toml"
  until_true 20 test -S "$folder/containerd.sock" || die "containerd of n$1 did not start"
  import_images "$folder"
  start_on_node "$1" kubelet "$cluster_bin/kubelet" --config="$folder/kubelet.yaml" \
    --kubeconfig="$cluster_dir/config/n$1.kubeconfig" --hostname-override="n$1" \
    --node-ip="$(node_address "$1")" --root-dir="$folder/kubelet" --cert-dir="$folder/kubelet/pki"
  start_on_node "$1" proxy "$cluster_bin/kube-proxy" --kubeconfig="$cluster_dir/config/proxy.kubeconfig" \
    --hostname-override="n$1" --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0
}

# Everything that runs in a node's cgroup: containers and what they started.
node_processes() { # NUMBER
  find "/sys/fs/cgroup/pids/empalme-n$1" -name tasks -exec cat {} + 2>/dev/null | sort -u
}

nodes_down() {
  local i pid mount
  for i in $(seq "$cluster_nodes"); do end "kubelet-n$i"; end "proxy-n$i"; done
  for i in $(seq "$cluster_nodes"); do
    for pid in $(node_processes "$i"); do kill -9 "$pid" 2>/dev/null; done
    end "containerd-n$i"
    end "disk-n$i"
  done
  for pid in $(ps -eo pid,args | awk -v d="$cluster_dir/n" '/containerd-shim-runc-v2/ && index($0, d) {print $1}'); do
    kill -9 "$pid" 2>/dev/null
  done
  grep -oE "$cluster_dir/n[0-9]/[^ ]+" /proc/mounts | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null; done
  [ -f "$cluster_dir/namespaces" ] || return 0
  for mount in /run/netns/cni-*; do
    grep -qxF "${mount##*/}" "$cluster_dir/others-cni" && continue
    umount "$mount" 2>/dev/null
    rm -f "$mount" 2>/dev/null
  done
  return 0
}
