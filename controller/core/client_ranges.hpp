// Sets of clients as CIDR ranges (spec.loadBalancerSourceRanges): what they name, not how they are
// written. 10.0.0.0/24 is the same as its two halves.
//
// Pure; a list of n ranges costs n log n.
#pragma once

#include <vector>

#include "common/model/address.hpp"

namespace lb::plan {

// Every IPv4 client, and not a word of IPv6: upstream's own way of saying everyone, from the days
// of one family.
bool says_everyone(const std::vector<Cidr>& ranges);

// No client of `inner` is missing from `outer`. An empty list names nobody here: callers for whom
// it means everyone ask before.
bool within(const std::vector<Cidr>& inner, const std::vector<Cidr>& outer);

}  // namespace lb::plan
