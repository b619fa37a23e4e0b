// The counters of the byte path in Prometheus' text format. Pure; any thread.
#pragma once

#include <string>

#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

std::string metrics_text(const proxy::DataPathCounters& counters);

}  // namespace lb::dataplane
