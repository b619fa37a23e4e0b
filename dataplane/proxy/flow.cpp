#include "dataplane/proxy/flow.hpp"

#include <iterator>

namespace lb::proxy {

const char* to_string(EndReason value) {
  constexpr const char* kNames[] = {"client_fin",  "backend_fin", "client_reset", "backend_reset",
                                    "client_gone", "no_backend",  "idle",         "drained",
                                    "dead_peer",   "killed",      "refused",      "exhausted"};
  static_assert(std::size(kNames) == kEndReasons);
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(Refusal value) {
  constexpr const char* kNames[] = {"source_range", "connections",  "source", "rate",
                                    "proxy_header", "client_hello", "route",  "handshake"};
  static_assert(std::size(kNames) == kRefusals);
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(FlowPhase value) {
  constexpr const char* kNames[] = {"greeting",         "securing", "waiting",   "dialling",
                                    "securing_backend", "relaying", "resetting", "lingering"};
  return kNames[static_cast<size_t>(value)];
}

}  // namespace lb::proxy
