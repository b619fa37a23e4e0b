#include "common/model/client_access.hpp"

#include <algorithm>

namespace lb {
namespace {

bool holds(const std::vector<Cidr>& ranges, const IpAddress& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Cidr& range) { return range.contains(address); });
}

}  // namespace

bool lets_in(const Policy& policy, const std::optional<IpAddress>& client) {
  if (!has_access_list(policy)) return true;
  if (!client || holds(policy.deny_ranges, *client)) return false;
  return policy.source_ranges.empty() || holds(policy.source_ranges, *client);
}

}  // namespace lb
