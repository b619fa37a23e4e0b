#include "dataplane/flows_json.hpp"

#include <charconv>

#include "common/model/json.hpp"
#include "common/net/query.hpp"

namespace lb::dataplane {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxFlows = 10'000;

std::string text_of(const std::optional<Endpoint>& endpoint) {
  return endpoint ? endpoint->to_string() : std::string{};
}

Json to_json(const proxy::Flow& flow) {
  return {{"id", std::to_string(flow.id)},
          {"service", flow.service},
          {"protocol", to_string(flow.protocol)},
          {"listener", flow.listener.to_string()},
          {"client", text_of(flow.client)},
          {"backend", text_of(flow.backend)},
          {"phase", to_string(flow.phase)},
          {"bytes_in", flow.bytes_in},
          {"bytes_out", flow.bytes_out},
          {"age_ms", flow.age_ms},
          {"idle_ms", flow.idle_ms}};
}

Error query_error(const std::string& why) { return {"Query", why}; }

}  // namespace

Result<proxy::FlowFilter> parse_flow_query(std::string_view query) {
  proxy::FlowFilter out;
  for (const auto& [name, value] : net::parse_query(query)) {
    if (name == "service") {
      out.service = value;
    } else if (name == "backend") {
      const auto endpoint = parse_endpoint(value);
      if (!endpoint) return query_error("backend: " + endpoint.error().message);
      out.backend = *endpoint;
    } else if (name == "source") {
      const auto address = IpAddress::parse(value);
      if (!address) return query_error("source: " + address.error().message);
      out.source = *address;
    } else if (name == "limit") {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), out.limit);
      if (error != std::errc{} || end != value.data() + value.size()) {
        return query_error("limit takes a whole number");
      }
      out.limit = std::min(out.limit, kMaxFlows);
    } else {
      return query_error("unknown parameter '" + name.substr(0, 64) + "'");
    }
  }
  return out;
}

std::string encode_flows(const std::vector<proxy::Flow>& flows) {
  Json list = Json::array();
  for (const auto& flow : flows) list.push_back(to_json(flow));
  return Json{{"flows", std::move(list)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string encode_flow_record(const proxy::FlowRecord& record, const std::string& time) {
  Json out{{"time", time}};
  const Json flow = to_json(record.flow);
  for (const char* name : {"id", "service", "protocol", "listener", "client", "backend"})
    out[name] = flow[name];
  out["end"] = to_string(record.reason);
  if (record.refusal) out["refusal"] = to_string(*record.refusal);
  out["retries"] = record.retries;
  if (record.replays != 0) out["replays"] = record.replays;
  if (record.hedge_won) out["hedge_won"] = true;
  if (record.waited_ms != 0) out["waited_ms"] = record.waited_ms;
  if (record.connect_ms) out["connect_ms"] = *record.connect_ms;
  out["duration_ms"] = record.flow.age_ms;
  out["bytes_in"] = record.flow.bytes_in;
  out["bytes_out"] = record.flow.bytes_out;
  // ASCII only, as in the log of events: a terminal may show it.
  return out.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<uint64_t> parse_flow_id(std::string_view text) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
    return query_error("not the id of a connection: '" + std::string(text.substr(0, 64)) + "'");
  }
  return id;
}

}  // namespace lb::dataplane
