// Policy with which a tenant could pretend to be another client, or burn the node's CPU: only where
// the administrator allows it by namespace. Pure; any thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/backends.hpp"

namespace lb::plan {

// Sets such fields back to their defaults, and says so, unless `allowed` holds `ns` or "*".
void withhold_privileges(Service& service, const std::string& ns,
                         const std::set<std::string>& allowed, std::vector<Problem>& problems);

}  // namespace lb::plan
