# The programs of a Kubernetes cluster, built from their Go modules at the versions of go.mod.

build_programs() {
  local here=$cluster_root/tests/cluster version stamp
  version=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit} $2 == "k8s.io/kubernetes" {print $3; exit}' "$here/kubernetes/go.mod")
  stamp=$(cat "$here"/{kubernetes,node}/go.sum | sha256sum | cut -c1-16)
  [ "$(cat "$cluster_bin/.built" 2>/dev/null)" = "$stamp" ] && return 0
  command -v go >/dev/null || die "building Kubernetes $version needs Go 1.26 or later: install it, or put it on PATH"
  say "building Kubernetes $version, etcd and containerd from their modules (8 minutes the first time) ..."
  mkdir -p "$cluster_bin"
  local set="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1"
  set+=" -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version") -X k8s.io/client-go/pkg/version.gitVersion=$version"
  (cd "$here/kubernetes" && CGO_ENABLED=0 GOBIN=$cluster_bin go install -ldflags "-s -w $set" tool) || die "Kubernetes could not be built"
  (cd "$here/node" && CGO_ENABLED=0 GOBIN=$cluster_bin go install -tags 'no_btrfs no_zfs no_devmapper' -ldflags '-s -w' tool) ||
    die "etcd and containerd could not be built"
  mv -f "$cluster_bin/server" "$cluster_bin/etcd"
  echo "$stamp" >"$cluster_bin/.built"
}
