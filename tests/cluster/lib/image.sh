# The image of the shipped Dockerfile, built by a real Docker engine, and the pause image. No registry
# is needed: the base image is made from the machine's own package source, whatever that is.

docker_socket=$cluster_dir/docker/docker.sock
docker() { command docker -H "unix://$docker_socket" "$@"; }

start_docker() {
  local folder=$cluster_dir/docker
  docker info >/dev/null 2>&1 && return 0
  mkdir -p "$folder"
  # Neither a bridge nor rules of its own: builds use the host's network and nothing runs here.
  nohup dockerd -H "unix://$docker_socket" --data-root "$cluster_cache/docker" --exec-root "$folder/exec" \
    --pidfile "$folder/docker.pid" --bridge=none --iptables=false --ip6tables=false \
    >"$cluster_dir/logs/docker.log" 2>&1 &
  echo $! >"$cluster_dir/pids/docker"
  until_true 30 docker info || { tail -n 20 "$cluster_dir/logs/docker.log" >&2; die "the Docker engine did not start"; }
}

# debian:bookworm-slim by debootstrap, with the machine's own sources, so that the Dockerfile builds
# unchanged where no registry can be reached.
make_base_image() {
  docker image inspect debian:bookworm-slim >/dev/null 2>&1 && return 0
  local root=$cluster_dir/base source
  source=$(grep -hE '^(deb |URIs:)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -oE 'https?://[^ ]+' | head -n 1)
  [ -n "$source" ] || die "no package source found in /etc/apt"
  say "making the base image ..."
  debootstrap --variant=minbase bookworm "$root" "$source" >"$cluster_dir/logs/debootstrap.log" 2>&1 ||
    { tail -n 5 "$cluster_dir/logs/debootstrap.log" >&2; die "debootstrap failed"; }
  rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d
  cp -a /etc/apt/sources.list* "$root/etc/apt/" 2>/dev/null
  cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
  [ -d /etc/apt/keyrings ] && cp -a /etc/apt/keyrings "$root/etc/apt/"
  [ -d /usr/local/share/ca-certificates ] && mkdir -p "$root/usr/local/share" && cp -a /usr/local/share/ca-certificates "$root/usr/local/share/"
  mkdir -p "$root/etc/ssl/certs"
  [ -f /etc/ssl/certs/ca-certificates.crt ] && cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  tar -C "$root" -c . | docker import - debian:bookworm-slim >/dev/null || die "the base image could not be imported"
  rm -rf "$root"
}

# A pod's first process: waits for ever, reaps what it inherits.
make_pause_image() {
  docker image inspect empalme.test/pause:1 >/dev/null 2>&1 && return 0
  local folder=$cluster_dir/pause
  mkdir -p "$folder"
  cat >"$folder/pause.c" <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap);
  for (;;) pause();
}
C
  gcc -O2 -static -o "$folder/pause" "$folder/pause.c" || die "the pause program could not be built"
  printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' >"$folder/Dockerfile"
  docker build -q -t empalme.test/pause:1 "$folder" >/dev/null || die "the pause image could not be built"
}

build_image() {
  say "building $image from the shipped Dockerfile ..."
  docker build --network host -t "$image" "$cluster_root" >"$cluster_dir/logs/build.log" 2>&1 ||
    { tail -n 30 "$cluster_dir/logs/build.log" >&2; die "the image could not be built"; }
}

make_images() {
  local folder=$cluster_dir/images
  mkdir -p "$folder"
  start_docker
  make_base_image
  make_pause_image
  build_image
  docker save "$image" -o "$folder/empalme.tar"
  docker save empalme.test/pause:1 -o "$folder/pause.tar"
  end docker
}
