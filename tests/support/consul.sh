# A Consul agent for tests: Debian 11's, since Debian 12 has none. Sourced.

# unpack_consul FOLDER: consul is FOLDER/usr/bin/consul then. Nothing is installed, and nothing is
# fetched twice; false where it cannot be had.
unpack_consul() {
  local folder=$1 fetch
  [ -x "$folder/usr/bin/consul" ] && return 0
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  fetch=$(mktemp -d) || return 1
  if fetch_consul "$fetch" && mkdir -p "$folder" && dpkg -x "$fetch"/consul_*.deb "$fetch/all"; then
    mkdir -p "$folder/usr/bin" && mv "$fetch/all/usr/bin/consul" "$folder/usr/bin/consul"
  fi
  rm -rf "$fetch"
  [ -x "$folder/usr/bin/consul" ]
}

# Lists, keys and downloads of its own, so that the machine's are as they were.
fetch_consul() { # FOLDER
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg options
  [ -r "$keys" ] || return 1
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  echo "deb [signed-by=$keys] http://deb.debian.org/debian bullseye main" >"$1/sources.list"
  options=(-o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$1/lists" -o "Dir::Cache=$1/cache" -o Acquire::Languages=none
    -o Acquire::Retries=2 -o APT::Sandbox::User=root)
  (cd "$1" && timeout 120 apt-get "${options[@]}" -qq update &&
    timeout 120 apt-get "${options[@]}" -qq download consul) >"$1/log" 2>&1
}
