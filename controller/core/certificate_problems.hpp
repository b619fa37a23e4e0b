// What of a service is not as asked for the sake of its certificates. Pure; any thread.
#pragma once

#include <vector>

#include "controller/core/plan.hpp"

namespace lb::plan {

// The source's own problems, and one for each certificate that the service names and that cannot be
// used as it is now. None of them takes a port away: the last good one may still be served, and
// where there is none the data plane says that itself.
// Those begin with "certificate NAME: ", see is_of_certificate().
std::vector<Problem> problems_of(const World& world, const SourceService& service);
bool is_of_certificate(const Problem& problem);

}  // namespace lb::plan
