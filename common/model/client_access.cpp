#include "common/model/client_access.hpp"

#include <algorithm>

namespace lb {

bool contains(const std::vector<Cidr>& ranges, const std::optional<IpAddress>& client) {
  return client && std::any_of(ranges.begin(), ranges.end(),
                               [&](const Cidr& range) { return range.contains(*client); });
}

bool lets_in(const Policy& policy, const std::optional<IpAddress>& client) {
  if (!has_access_list(policy)) return true;
  if (!client || contains(policy.deny_ranges, client)) return false;
  return policy.source_ranges.empty() || contains(policy.source_ranges, client);
}

}  // namespace lb
