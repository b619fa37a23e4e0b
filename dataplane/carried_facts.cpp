#include <utility>

#include "dataplane/carried_counts.hpp"
#include "dataplane/carried_names.hpp"

namespace lb::dataplane {

void encode_down(const std::vector<proxy::ServiceStatus>& status, handoff::Counters& out) {
  for (const auto& service : status) {
    for (const auto& port : service.ports) {
      for (const auto& backend : port.backends) {
        if (backend.health != "down") continue;
        put(out,
            place("down", port.port, port.protocol) + backend.backend.to_string() + "|" +
                service.key,
            1);
      }
    }
  }
}

std::vector<proxy::BackendId> decode_down(const handoff::Counters& from) {
  std::vector<proxy::BackendId> out;
  for (const auto& [name, value] : from) {
    std::string key;
    const auto words = split(name, 4, key);
    if (words.empty() || words[0] != "down") continue;
    const auto port = number(words[1]);
    const auto backend = parse_endpoint(words[3]);
    if (port && backend) out.push_back({key, *port, protocol_of(words[2]), *backend});
  }
  return out;
}

void encode_drained(const std::set<proxy::Drain>& drains, handoff::Counters& out) {
  for (const auto& drain : drains) {
    const std::string backend = drain.backend ? drain.backend->to_string() : std::string();
    put(out, "drain|" + backend + "|" + drain.service, 1);
  }
}

std::set<proxy::Drain> decode_drained(const handoff::Counters& from) {
  std::set<proxy::Drain> out;
  for (const auto& [name, value] : from) {
    proxy::Drain drain;
    const auto words = split(name, 2, drain.service);
    if (words.empty() || words[0] != "drain") continue;
    const auto backend = parse_endpoint(words[1]);
    // Not understood, it must not come to mean every backend.
    if (!words[1].empty() && !backend) continue;
    if (backend) drain.backend = *backend;
    out.insert(std::move(drain));
  }
  return out;
}

}  // namespace lb::dataplane
