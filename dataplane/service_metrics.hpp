// Metrics by service and backend. Pure; any thread.
//
// Series exist for what is served now and vanish with it. Those of backends are written for so many
// backends at most; how many are left out is a metric itself.
#pragma once

#include <cstddef>
#include <vector>

#include "common/ops/metrics.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

inline constexpr size_t kMaxBackendSeries = 2'000;

void add_service_metrics(std::vector<ops::Metric>& out, const std::vector<proxy::PortTotals>& ports,
                         size_t max_backends = kMaxBackendSeries);

}  // namespace lb::dataplane
