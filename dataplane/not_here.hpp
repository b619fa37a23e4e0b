// What the flags name that this host does not have at the moment: worth a warning at the start, no
// more, since it may come later.
//
// Asks the kernel; any thread. Nothing is sent.
#pragma once

#include <vector>

#include "common/model/result.hpp"
#include "dataplane/config.hpp"

namespace lb::dataplane {

// "NoInterface" for --announce, "NoSuchAddress" for each of --spare-sources, in this order.
std::vector<Error> not_here(const Config& config);

}  // namespace lb::dataplane
