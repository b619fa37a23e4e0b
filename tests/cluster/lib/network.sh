# The cluster's network: a namespace for each machine, joined by a bridge in the namespace "lan". Node
# death is a link that goes down; nothing leaves this machine.

add_machine() { # NAME ADDRESS
  ip netns add "$1"
  ip link add "$1-e" type veth peer name eth0 netns "$1"
  ip link set "$1-e" netns lan
  in_ns lan ip link set "$1-e" master br0 up
  in_ns "$1" ip addr add "$2/24" dev eth0
  in_ns "$1" ip link set eth0 up
  in_ns "$1" ip link set lo up
}

network_up() {
  # What is not in this list is somebody else's, whatever its name.
  local name
  for name in lan cp client witness edge $(seq -f 'n%g' "$cluster_nodes"); do
    [ -e "/run/netns/$name" ] && die "a network namespace '$name' exists that this suite did not make"
  done
  touch "$cluster_dir/namespaces"
  ls /run/netns 2>/dev/null | grep '^cni-' >"$cluster_dir/others-cni"
  ip netns add lan
  in_ns lan ip link set lo up
  in_ns lan ip link add br0 type bridge
  in_ns lan ip addr add "$lan.1/24" dev br0
  in_ns lan ip link set br0 up
  add_machine cp "$control_plane"
  add_machine client "$client"
  # Asks who has an address, so that the client's own neighbour table is left alone.
  add_machine witness "$witness"
  # No node: for a data plane outside the cluster.
  add_machine edge "$edge"
  # More addresses, since a load from one address meets stale conntrack entries of its own ports.
  for last in 51 52 53 54; do in_ns client ip addr add "$lan.$last/24" dev eth0; done
  in_ns cp ip route add default via "$lan.1"
  local i j
  for i in $(seq "$cluster_nodes"); do
    add_machine "n$i" "$(node_address "$i")"
    in_ns "n$i" ip route add default via "$lan.1"
    in_ns "n$i" sysctl -qw net.ipv4.ip_forward=1
    in_ns "n$i" sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null
  done
  for i in $(seq "$cluster_nodes"); do
    in_ns cp ip route add "10.244.$i.0/24" via "$(node_address "$i")"
    for j in $(seq "$cluster_nodes"); do
      [ "$i" = "$j" ] || in_ns "n$i" ip route add "10.244.$j.0/24" via "$(node_address "$j")"
    done
  done
}

network_down() {
  local ns
  [ -f "$cluster_dir/namespaces" ] || return 0
  for ns in lan cp client witness edge $(seq -f 'n%g' "$cluster_nodes"); do ip netns del "$ns" 2>/dev/null; done
  rm -f "$cluster_dir/namespaces"
}
