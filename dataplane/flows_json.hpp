// Live and ended connections as JSON. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "dataplane/proxy/flow.hpp"

namespace lb::dataplane {

// service=&backend=&source=&limit=, percent-decoded; error "Query".
Result<proxy::FlowFilter> parse_flow_query(std::string_view query);

// {"flows": [{"id", "service", "listener", "client", "backend", "phase", "bytes_in", "bytes_out",
// "age_ms", "idle_ms"}]}
std::string encode_flows(const std::vector<proxy::Flow>& flows);

// One line for the log of connections, without its newline.
std::string encode_flow_record(const proxy::FlowRecord& record, const std::string& time);

// The id as it stands in the list; error "Query".
Result<uint64_t> parse_flow_id(std::string_view text);

}  // namespace lb::dataplane
