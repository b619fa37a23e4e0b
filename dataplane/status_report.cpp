#include "dataplane/status_report.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "dataplane/backend_finder.hpp"

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

BackendReport report_backend(const Backend& backend, const proxy::BackendStatus* live) {
  BackendReport out{backend.endpoint().to_string(), backend.state, "unknown", {}, 0};
  if (live == nullptr) return out;
  out.connections = live->connections;
  out.health = live->ejected ? "ejected" : live->health;
  out.reason = live->reason;
  return out;
}

std::vector<BackendReport> report_backends(const std::vector<Backend>& held,
                                           const std::vector<proxy::BackendStatus>& live) {
  BackendFinder finder(live);
  std::vector<BackendReport> out;
  for (const auto& each : held) out.push_back(report_backend(each, finder.find(each.endpoint())));
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
  const std::vector<proxy::BackendStatus> nobody;
  out.backends = report_backends(port.backends, status != nullptr ? status->backends : nobody);
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
