#!/usr/bin/env bash
# Makes the image empalme-demo-web of the built programs and the libraries that they load: there is
# no registry to ask, and nothing else in it.   image.sh BUILD_FOLDER
set -euo pipefail
[ $# -eq 1 ] && [ -x "$1/empalme-demo-web" ] || { echo "usage: $0 BUILD_FOLDER" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$1/empalme-demo-web" "$work/web"
cp "$1/empalme-demo-load" "$work/load" # for the health check
ldd "$work/web" "$work/load" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
  mkdir -p "$work$(dirname "$library")"
  cp -L "$library" "$work$library"
done
tar -C "$work" -c . |
  docker import -c 'ENTRYPOINT ["/web", "--listen", "0.0.0.0:8080"]' - empalme-demo-web >/dev/null
