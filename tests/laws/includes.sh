#!/usr/bin/env bash
# Fails, naming file and line, when an include crosses a border that the architecture draws.
set -u
cd "$1" || exit 2
broken=0

# forbid WHY PATTERN PATH...: no line of these sources may match.
forbid() {
  local why=$1 pattern=$2 hits
  shift 2
  hits=$(grep -rnE --include='*.hpp' --include='*.cpp' "$pattern" "$@" 2>/dev/null)
  [ -z "$hits" ] && return
  printf '%s:\n%s\n' "$why" "$hits"
  broken=1
}

pure=(common/model controller/core dataplane/balance)
forbid "the pure core knows no clock, socket, thread, file, Boost or HTTP" \
  '#include [<"](boost/|cpprest/|thread>|mutex>|chrono>|atomic>|fstream>|filesystem>|sys/socket|unistd|common/net|common/ops)' "${pure[@]}"
forbid "the controller never includes the data plane" '#include "dataplane/' controller
forbid "the data plane never includes the controller" '#include "controller/' dataplane
forbid "common includes neither program" '#include "(controller|dataplane|empalme)/' common
forbid "the data plane never touches cpprestsdk" '#include [<"](cpprest|pplx)/' dataplane common empalme
forbid "controller/core knows nothing of its surroundings" '#include "controller/(kube|sources)/' controller/core
forbid "dataplane/balance knows nothing of its surroundings" '#include "dataplane/(proxy|announce|health)/' dataplane/balance

forbid "a tree of <nlohmann/json.hpp> ends the process when memory runs out: include common/model/json.hpp" \
  '#include <nlohmann/json\.hpp>' $(find common controller dataplane empalme tests/unit tests/fuzz tests/support \( -name '*.hpp' -o -name '*.cpp' \) ! -path common/model/json.hpp)
json=$(grep -rln --include='*.hpp' 'model/json\.hpp' common controller dataplane empalme 2>/dev/null)
[ -z "$json" ] || { printf 'json.hpp costs seconds in every unit; headers use json_fwd.hpp:\n%s\n' "$json"; broken=1; }
cpprest=$(grep -rlE --include='*.cpp' --include='*.hpp' '#include [<"](cpprest|pplx)/' controller | grep -v '^controller/kube/http_client_cpprest\.cpp$')
[ -z "$cpprest" ] || { printf 'only the adapter may know cpprestsdk:\n%s\n' "$cpprest"; broken=1; }
exit $broken
