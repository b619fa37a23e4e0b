# The whole library, and the cluster's life.
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"
source "$here/programs.sh"
source "$here/image.sh"
source "$here/network.sh"
source "$here/control_plane.sh"
source "$here/nodes.sh"
source "$here/check.sh"
source "$here/pulse.sh"
source "$here/ha.sh"
source "$here/helm.sh"
source "$here/outside.sh"
source "$cluster_root/tests/support/packages.sh"
source "$cluster_root/tests/support/helm.sh"

all_nodes_ready() {
  [ "$(kubectl get nodes --no-headers 2>/dev/null | grep -c ' Ready ')" -eq "$cluster_nodes" ]
}

cluster_up() { # [--keep-image]: with the image of the last time
  [ "$(id -u)" -eq 0 ] || die "the cluster suite needs root: it makes network namespaces and mounts"
  cluster_down
  install_packages "${cluster_packages[@]}"
  build_programs
  build_helm_tools "$cluster_root/tests/chart" || die "Helm could not be built"
  mkdir -p "$cluster_dir"/{logs,pids,images}
  if [ "${1:-}" != --keep-image ] || [ ! -f "$cluster_dir/images/empalme.tar" ]; then make_images; fi
  network_up
  control_plane_up
  local i
  for i in $(seq "$cluster_nodes"); do node_up "$i"; done
  until_true 90 all_nodes_ready || die "the nodes did not become ready; see $cluster_dir/logs"
}

cluster_down() {
  local name
  nodes_down
  for name in pulse edge scheduler manager apiserver etcd docker; do end "$name"; done
  network_down
  rm -rf "$cluster_dir"/{etcd,pki,config,pids,edge} "$cluster_dir"/n[0-9] "$cluster_dir"/logs
  for name in $(seq "$cluster_nodes"); do
    find /sys/fs/cgroup/*/"empalme-n$name" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  return 0
}
