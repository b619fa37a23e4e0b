#include <algorithm>

#include "controller/sources/file_document.hpp"

namespace lb::sources {
namespace {

void add_backend(ServicePort& port, const IpAddress& address, const NamedBackend& named) {
  const Endpoint endpoint{address, named.port};
  const bool known = std::any_of(port.backends.begin(), port.backends.end(),
                                 [&](const Backend& b) { return b.endpoint() == endpoint; });
  if (known) return;
  Backend backend;
  backend.address = address;
  backend.port = named.port;
  backend.name = named.host;
  backend.group = named.group;
  port.backends.push_back(std::move(backend));
}

}  // namespace

void add_resolved(std::vector<Service>& services, const std::vector<NamedBackend>& named,
                  const std::map<std::string, std::vector<IpAddress>>& addresses) {
  for (const auto& each : named) {
    const auto answer = addresses.find(each.host);
    if (answer == addresses.end()) continue;
    for (auto& service : services) {
      if (service.key != each.key) continue;
      for (auto& port : service.ports) {
        if (port.port != each.service_port || port.protocol != each.protocol) continue;
        for (const auto& address : answer->second) add_backend(port, address, each);
      }
    }
  }
  for (auto& service : services) normalise(service);
}

}  // namespace lb::sources
