// What the data plane counts, as rows for Prometheus. Pure; any thread.
//
// Names begin empalme_dataplane_; the table in README.md lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/net/http_server.hpp"
#include "common/ops/metrics.hpp"
#include "dataplane/announce/announcer.hpp"
#include "dataplane/certificates.hpp"
#include "dataplane/coordinator.hpp"
#include "dataplane/flow_log.hpp"
#include "dataplane/health/prober.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/state_store.hpp"

namespace lb::dataplane {

using Metrics = std::vector<ops::Metric>;

void add_path_metrics(Metrics& out, const proxy::DataPathCounters& counters);
void add_queue_metrics(Metrics& out, std::optional<uint64_t> overflows);
void add_watch_metrics(Metrics& out, bool addresses_watched);
void add_descriptor_metrics(Metrics& out, const proxy::DescriptorShares& shares, uint64_t open);
void add_message_metrics(Metrics& out, uint64_t lost);
void add_check_metrics(Metrics& out, const health::ProberCounters& counters);
void add_state_metrics(Metrics& out, const Coordinator& coordinator,
                       const std::map<std::string, uint64_t>& refusals);
void add_log_metrics(Metrics& out, const FlowLog& log);
void add_store_metrics(Metrics& out, const StateStore& store);
// Series of so many certificates at most, of those that run out first.
void add_certificate_metrics(Metrics& out, const Certificates& certificates, size_t most = 2'000);
void add_announce_metrics(Metrics& out, const announce::AnnounceCounters& counters,
                          size_t announced);
// `server` is "admin" or "observe".
void add_server_metrics(Metrics& out,
                        const std::map<std::string, net::HttpServerCounters>& servers);

}  // namespace lb::dataplane
