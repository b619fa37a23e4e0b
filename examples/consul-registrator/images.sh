#!/usr/bin/env bash
# Makes the images that docker-compose.yml names, without a registry: redis and counter of this machine's Debian packages,
# consul of a program, and registrator of registrator.py, which stands in for it.   images.sh CONSUL
set -euo pipefail
consul=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of these packages and all that they need, what a program reads.
files_of() { # PACKAGE...
  apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep '^[a-z0-9]' | sort -u | xargs dpkg-query -L 2>/dev/null | sort -u |
    grep -E '^/(usr/)?(s?bin|lib(64)?)/' | grep -vE '/(perl5?|systemd|udev|locale|test)/' |
    while read -r file; do
      [ -d "$file" ] && [ ! -L "$file" ] && continue
      printf '%s\n' "$file"
      # What Debian has compiled, or each container would at its start.
      [[ $file != *.py ]] || { cached=${file##*/} && compgen -G "${file%/*}/__pycache__/${cached%.py}.*.pyc" || true; }
    done | sed 's|^/||'
}
import() { # NAME FOLDER [CHANGE...]
  local name=$1 folder=$2 each changes=()
  for each in "${@:3}"; do changes+=(--change "$each"); done
  mkdir -p "$folder/tmp" && chmod 1777 "$folder/tmp"
  tar -C "$folder" -c . | docker import "${changes[@]}" - "$name" >/dev/null
}
fill() { # FOLDER PACKAGE...
  mkdir -p "$1"
  tar -C / -c --no-recursion -T <(files_of "${@:2}") | tar -C "$1" -x
}

fill "$work/redis" redis-server
import redis:debian "$work/redis" 'CMD ["redis-server", "--save", "", "--protected-mode", "no"]' 'EXPOSE 6379'

fill "$work/consul" libc6
cp "$consul" "$work/consul/consul"
import consul:debian "$work/consul" 'ENTRYPOINT ["/consul"]'

fill "$work/python" python3-flask python3-redis gunicorn dash coreutils
mkdir -p "$work/python/app" "$work/python/etc"
cp "$here/app/app.py" "$here/app/serve.sh" "$here/registrator.py" "$work/python/app"
import counter:debian "$work/python" 'WORKDIR /app' 'EXPOSE 5000' 'CMD ["./serve.sh"]'
import registrator:stand-in "$work/python" 'ENTRYPOINT ["/usr/bin/python3", "-u", "/app/registrator.py"]'
