// The query of GET /v1/flows and the id of DELETE /v1/flows/{id}, with their answers.

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "common/net/query.hpp"
#include "dataplane/flows_json.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using lb::fuzz::must;

void check_query(std::string_view text) {
  const auto items = net::parse_query(text);
  std::string again;
  for (const auto& [name, value] : items) {
    again += net::percent_encode(name) + "=" + net::percent_encode(value) + "&";
  }
  must(net::parse_query(again) == items, "what we encode is read as the same");
}

std::string as_query(const proxy::FlowFilter& filter) {
  std::string out = "limit=" + std::to_string(filter.limit);
  if (!filter.service.empty()) out += "&service=" + net::percent_encode(filter.service);
  if (filter.backend) out += "&backend=" + net::percent_encode(filter.backend->to_string());
  if (filter.source) out += "&source=" + net::percent_encode(filter.source->to_string());
  return out;
}

bool same(const proxy::FlowFilter& a, const proxy::FlowFilter& b) {
  return a.service == b.service && a.backend == b.backend && a.source == b.source &&
         a.limit == b.limit;
}

void check_filter(std::string_view text) {
  const auto filter = dataplane::parse_flow_query(text);
  if (!filter) {
    must(nlohmann::json::accept(encode_error(filter.error())), "a refusal is valid JSON");
    return;
  }
  must(filter->limit <= 10'000, "a list has an end");
  const auto again = dataplane::parse_flow_query(as_query(*filter));
  must(again.ok() && same(*again, *filter), "what we ask is read as the same");
  proxy::FlowRecord record;
  record.flow.service = filter->service;
  record.flow.client = filter->backend;
  const auto line = dataplane::encode_flow_record(record, "t");
  must(nlohmann::json::accept(line), "a line of the log is valid JSON");
  must(line.find_first_of("\n\r\x1b\x7f") == std::string::npos, "a line of the log is one line");
  must(nlohmann::json::accept(dataplane::encode_flows({record.flow})), "a list is valid JSON");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = fuzz::as_text(data, size);
  check_query(text);
  check_filter(text);
  if (const auto id = dataplane::parse_flow_id(text)) {
    must(dataplane::parse_flow_id(std::to_string(*id)).value() == *id, "an id is printed whole");
  } else {
    must(nlohmann::json::accept(encode_error(id.error())), "a refusal is valid JSON");
  }
  return 0;
}
