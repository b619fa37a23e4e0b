# Debian 12 packages by purpose, and how to install those that are missing. Sourced by ./test.
build_packages=(cmake g++ ninja-build ccache pkg-config libcpprest-dev libboost-dev
  nlohmann-json3-dev prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev libyaml-cpp-dev
  libcli11-dev libssl-dev libgtest-dev libgmock-dev libbenchmark-dev openssl python3
  iproute2 nftables curl procps)

# Tests that find one of these missing say that they skip it. They would start by themselves:
# install_without_starting.
test_packages=(prometheus keepalived docker.io docker-compose strace)
example_packages=(keepalived docker.io docker-compose nginx iptables redis-server python3-flask
  python3-redis gunicorn)
fuzz_packages=(clang-14 libclang-rt-14-dev)
bench_packages=(haproxy nginx libnginx-mod-stream strace)
cluster_packages=(runc containernetworking-plugins iptables conntrack docker.io debootstrap
  iproute2 nftables jq curl openssl gcc libc6-dev procps)
zoo_packages=(iproute2 postgresql mariadb-server-core mariadb-client-core redis-server redis-tools
  memcached libmemcached-tools openssh-server openssh-client rsync git subversion mosquitto
  mosquitto-clients python3-aiosmtpd swaks slapd ldap-utils nginx curl nghttp2-server
  nghttp2-client python3-websockets dnsmasq-base bind9-dnsutils iperf3 dovecot-imapd
  netcat-openbsd socat openssl nats-server etcd-server etcd-client nbdkit libnbd-bin haproxy)

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }

install_packages() {
  local missing=() name sudo=()
  for name in "$@"; do is_installed "$name" || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "missing: ${missing[*]}; install them, or run as root" >&2; exit 2; }
    sudo=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
}

# Debian's packages start their servers when they are installed. With this policy none is; a machine
# that has a policy of its own keeps it.
install_without_starting() {
  local policy=/usr/sbin/policy-rc.d ours=no
  if [ "$(id -u)" -eq 0 ] && [ ! -e "$policy" ]; then
    ours=yes
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  install_packages "$@"
  if [ $ours = yes ]; then
    rm -f "$policy"
    trap - EXIT
  fi
}
