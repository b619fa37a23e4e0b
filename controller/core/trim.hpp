// Leaves out of a desired service what the data plane does not understand. Pure; any thread.
//
// A field falls to its default and is reported; a port stays out whose protocol, match or end of TLS
// is not understood, for what it would be without is another one. Where falling to the default would
// let in whom the user shut out (source ranges), the whole service is blocked.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "controller/core/backends.hpp"

namespace lb::plan {

// `features` as in GET /v1/status; empty means that no data plane was heard yet: nothing is left
// out, since what it would refuse is not known.
void trim(Service& service, const std::set<std::string>& features, std::vector<Problem>& problems);

}  // namespace lb::plan
