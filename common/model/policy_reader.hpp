// Policies out of a state document.
//
// Inside common/model only; refusals are thrown, see json_reader.hpp. Any thread.
#pragma once

#include <vector>

#include "common/model/address.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state.hpp"

namespace lb::wire {

// The field `policy` of `parent`, where it is there. `out` comes in with what the policy overrides:
// the defaults, or the service's policy.
void read_policy(ObjectReader& parent, Policy& out);
// The same of the policy itself.
void read_policy_fields(ObjectReader& reader, Policy& out);

void read_cidrs(ObjectReader& reader, const char* name, std::vector<Cidr>& out);

}  // namespace lb::wire
