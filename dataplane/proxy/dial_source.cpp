#include "dataplane/proxy/dial_source.hpp"

#include <algorithm>
#include <string>

namespace lb::proxy {

bool may_be_chosen(const std::vector<net::InterfaceAddress>& local,
                   const std::set<IpAddress>& ours) {
  std::set<std::string> seen;
  for (const auto& each : local) {
    if (!each.address.is_v4() || !seen.insert(each.interface).second) continue;
    if (ours.contains(each.address)) return true;
  }
  return false;
}

std::optional<IpAddress> source_instead_of(const IpAddress& chosen,
                                           const std::vector<net::InterfaceAddress>& local,
                                           const std::set<IpAddress>& ours) {
  const auto holder = std::find_if(local.begin(), local.end(),
                                   [&](const auto& each) { return each.address == chosen; });
  if (holder == local.end()) return std::nullopt;
  for (const auto& each : local) {
    const bool candidate = each.interface == holder->interface && each.address.is_v4();
    if (candidate && !ours.contains(each.address)) return each.address;
  }
  return std::nullopt;
}

}  // namespace lb::proxy
