#!/usr/bin/env bash
# Makes the image empalme:VERSION of the built programs and the libraries that they load, as `docker build` does from the
# Dockerfile, but in a second and with no registry to ask.   image.sh BUILD_FOLDER
# With more words: an image of that name, of those programs; files of the host go with FILE=PLACE.
#   image.sh BUILD_FOLDER NAME PROGRAM|FILE=PLACE...
set -euo pipefail
[ $# -ge 1 ] && [ -x "$1/empalme" ] || { echo "usage: $0 BUILD_FOLDER [NAME PROGRAM|FILE=PLACE...]" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
put() { # FILE PLACE: with what it loads
  mkdir -p "$work$(dirname "$2")"
  cp -L "$1" "$work$2"
}
put_program() { # FILE PLACE
  local library
  put "$1" "$2"
  ldd "$1" | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do put "$library" "$library"; done
}
build=$1
if [ $# -eq 1 ]; then
  set -- "$1" "empalme:$("$build/empalme" --version | grep -oE '[0-9.]+' | head -n 1)" \
    "$build"/empalme{,-controller,-dataplane,-demo-web,-demo-load}
fi
name=$2
for each in "${@:3}"; do
  case $each in
    *=*) put "${each%%=*}" "${each#*=}" ;;
    *) put_program "$each" "/usr/local/bin/$(basename "$each")" ;;
  esac
done
mkdir -p "$work/tmp" "$work/run" "$work/var/log" "$work/var/lib"
chmod 1777 "$work/tmp"
tar -C "$work" -c . | docker import - "$name" >/dev/null
