# Helm, kustomize and the reader of the API's own types, built from their Go modules. Sourced.
helm_tools=${EMPALME_CHART_CACHE:-$HOME/.cache/empalme-chart}

build_helm_tools() { # FOLDER of tests/chart
  local stamp
  stamp=$(cd "$1" && cat go.sum strict/main.go | sha256sum | cut -c1-16)
  [ "$(cat "$helm_tools/.built" 2>/dev/null)" = "$stamp" ] && return 0
  command -v go >/dev/null || { echo "building Helm needs Go 1.26 or later: install it, or put it on PATH" >&2; return 2; }
  echo "building Helm and kustomize from their modules (some minutes the first time) ..." >&2
  mkdir -p "$helm_tools"
  (cd "$1" && CGO_ENABLED=0 GOBIN=$helm_tools go install -ldflags '-s -w' tool ./strict) || return 2
  echo "$stamp" >"$helm_tools/.built"
}
