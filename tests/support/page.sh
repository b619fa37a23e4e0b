# Runs the commands of an example's page in the test's own shell, so that the page is what is tested. Sourced.

# open_page README BUILD_FOLDER WORK: from here on the test is in a checkout of its own, WORK/checkout, with a copy of the
# examples and with `build`; what a page leaves to the defaults lies in WORK too, so that nobody else's is touched.
open_page() {
  local support
  support=$(dirname "${BASH_SOURCE[0]}")
  mapfile -d '' -t page_left < <(python3 "$support/page.py" "$1")
  [ ${#page_left[@]} -gt 0 ] || { echo "FAILED: no command in $1"; exit 1; }
  mkdir "$3/checkout"
  cp -r "$support/../../examples" "$3/checkout/examples"
  ln -s "$2" "$3/checkout/build"
  cd "$3/checkout" || exit 1
  export PATH=$2:$PATH TMPDIR=$3 EMPALME_SOCKET_DIR=$3/run EMPALME_ADMIN=unix:$3/run/dataplane.sock
  export EMPALME_CONTROLLER_ADMIN=unix:$3/run/controller.sock
  # Where trouble is told, wherever a command's words go.
  [ -n "${page_trouble:-}" ] || exec {page_trouble}>&1
}

# By the test's own die where it has one, since that may know more.
page_fails() {
  if declare -F die >/dev/null; then die "$1"; else echo "FAILED: $1"; exit 1; fi >&"$page_trouble"
}

# take_from_page TEXT: `page_command` is the page's next command, which must have this text in it.
take_from_page() {
  page_command=${page_left[0]-nothing}
  page_left=("${page_left[@]:1}")
  [[ $page_command == *"$1"* ]] || page_fails "the page's next command is not one with '$1', but: $page_command"
}

# skip_in_page TEXT: the next one, which cannot be run here; tests/laws/pages.py has the reason.
skip_in_page() { take_from_page "$1"; }

# page TEXT [CODE]: runs the page's next command, which must end with that exit code (0).
page() {
  local code=0
  take_from_page "$1"
  eval "$page_command" || code=$?
  [ $code -eq "${2:-0}" ] || page_fails "ended with $code: $page_command"
}

# end_page: no command of the page is left.
end_page() {
  [ ${#page_left[@]} -eq 0 ] || page_fails "the page has more than the test:$(printf '\n%s' "${page_left[@]}")"
}
