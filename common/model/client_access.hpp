// Who may come to a service, by where they come from.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "common/model/state.hpp"

namespace lb {

// Nobody whose address is not known.
bool contains(const std::vector<Cidr>& ranges, const std::optional<IpAddress>& client);

// Whether it makes a difference where a client comes from.
inline bool has_access_list(const Policy& policy) {
  return !policy.source_ranges.empty() || !policy.deny_ranges.empty();
}

// Nobody from deny_ranges; of the others those in source_ranges, or all where that is empty. None:
// it is not known, and let in only where it makes no difference.
bool lets_in(const Policy& policy, const std::optional<IpAddress>& client);

}  // namespace lb
