// What GET /v1/status says: every service that is held, with what became of its listeners.
//
// Pure; any thread. Joins three views by key and listener: the held state (what should be), the
// byte path (what is) and the failures of the last change (what was refused before the byte path
// saw it).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

struct BackendReport {
  std::string backend;  // "address:port"
  BackendState state = BackendState::kReady;
  std::string health;  // "up", "down", "unknown" or "ejected"
  std::string reason;
  uint64_t connections = 0;

  bool operator==(const BackendReport&) const = default;
};

struct PortReport {
  IpAddress address;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  bool programmed = false;
  std::string reason;  // empty when programmed
  uint64_t connections = 0;
  std::vector<BackendReport> backends;
  bool panic = false;  // all backends are used, since too few are usable
  Match match = {};

  bool operator==(const PortReport&) const = default;
};

struct ServiceReport {
  std::string key;
  std::vector<PortReport> ports;

  bool operator==(const ServiceReport&) const = default;
};

// In the order of `held`.
std::vector<ServiceReport> report(const DesiredState& held,
                                  const std::vector<proxy::ServiceStatus>& live,
                                  const std::vector<Failure>& failed);

// Equal when nothing that a waiting reader should be woken for differs: all but the connections.
bool same_but_for_connections(const ServiceReport& a, const ServiceReport& b);

}  // namespace lb::dataplane
