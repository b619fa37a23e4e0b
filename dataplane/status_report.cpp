#include "dataplane/status_report.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace lb::dataplane {
namespace {

using ListenerId = std::tuple<std::string, IpAddress, uint16_t, Protocol, Match>;

// Two services of one key are corners of the same one: their listeners differ, so all fit in here.
std::map<ListenerId, const proxy::PortStatus*> by_listener(
    const std::vector<proxy::ServiceStatus>& live) {
  std::map<ListenerId, const proxy::PortStatus*> out;
  for (const auto& service : live) {
    for (const auto& port : service.ports) {
      out[{service.key, port.address, port.port, port.protocol, port.match}] = &port;
    }
  }
  return out;
}

struct Views {
  std::map<ListenerId, const proxy::PortStatus*> live;
  std::map<ListenerId, const Failure*> failed;
};

BackendReport report_backend(const Backend& backend, const proxy::PortStatus* live) {
  BackendReport out{backend.endpoint().to_string(), backend.state, "unknown", {}, 0};
  if (live == nullptr) return out;
  for (const auto& status : live->backends) {
    if (status.backend != backend.endpoint()) continue;
    out.connections = status.connections;
    out.health = status.ejected ? "ejected" : status.health;
    out.reason = status.reason;
  }
  return out;
}

PortReport report_port(const ServicePort& port, const IpAddress& address, const ListenerId& id,
                       const Views& views) {
  PortReport out{address, port.port, port.protocol, false, "Pending", 0, {}, false, port.match};
  const auto live = views.live.find(id);
  const proxy::PortStatus* status = live == views.live.end() ? nullptr : live->second;
  if (status != nullptr) {
    out.programmed = status->programmed;
    out.reason = status->reason;
    out.panic = status->panic;
    out.connections = status->connections;
  }
  const auto failed = views.failed.find(id);
  if (failed != views.failed.end() && !out.programmed) out.reason = failed->second->reason;
  for (const auto& backend : port.backends) out.backends.push_back(report_backend(backend, status));
  return out;
}

}  // namespace

std::vector<ServiceReport> report(const DesiredState& held,
                                  const std::vector<proxy::ServiceStatus>& live,
                                  const std::vector<Failure>& failed) {
  Views views{by_listener(live), {}};
  for (const auto& each : failed) {
    if (!each.backend.empty()) continue;
    views.failed[{each.key, each.address, each.port, each.protocol, each.match}] = &each;
  }
  std::vector<ServiceReport> out;
  for (const auto& service : held.services) {
    ServiceReport one{service.key, {}};
    for (const auto& address : service.addresses) {
      for (const auto& port : service.ports) {
        const ListenerId id{service.key, address, port.port, port.protocol, port.match};
        one.ports.push_back(report_port(port, address, id, views));
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

namespace {

bool alike(const BackendReport& a, const BackendReport& b) {
  return a.backend == b.backend && a.state == b.state && a.health == b.health &&
         a.reason == b.reason;
}

bool alike(const PortReport& a, const PortReport& b) {
  return a.address == b.address && a.port == b.port && a.protocol == b.protocol &&
         a.match == b.match && a.programmed == b.programmed && a.reason == b.reason &&
         a.panic == b.panic &&
         std::equal(a.backends.begin(), a.backends.end(), b.backends.begin(), b.backends.end(),
                    [](const auto& x, const auto& y) { return alike(x, y); });
}

}  // namespace

bool same_but_for_connections(const ServiceReport& a, const ServiceReport& b) {
  return a.key == b.key &&
         std::equal(a.ports.begin(), a.ports.end(), b.ports.begin(), b.ports.end(),
                    [](const auto& x, const auto& y) { return alike(x, y); });
}

}  // namespace lb::dataplane
