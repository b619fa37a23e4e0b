// Metrics by service and backend. Pure; any thread.
//
// Series exist for what is served now and vanish with it. They are written for so many ports,
// backends and groups at most, dealt out evenly by service, so that none takes those of the others;
// how many are left out is a metric itself.
#pragma once

#include <cstddef>
#include <vector>

#include "common/ops/metrics.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

struct SeriesLimits {
  size_t ports = 10'000;
  size_t backends = 2'000;  // of those ports, as are the groups
  size_t groups = 2'000;
};

void add_service_metrics(std::vector<ops::Metric>& out, const std::vector<proxy::PortTotals>& ports,
                         SeriesLimits limits = {});

}  // namespace lb::dataplane
