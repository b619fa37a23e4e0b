#include "empalme/flow_table.hpp"

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"
#include "common/net/query.hpp"
#include "empalme/table.hpp"

namespace lb::cli {
namespace {

using nlohmann::json;
using wire::list_or_empty;
using wire::number_or_zero;

std::string duration(uint64_t ms) {
  if (ms < 1'000) return std::to_string(ms) + "ms";
  if (ms < 120'000) return std::to_string(ms / 1'000) + "s";
  if (ms < 7'200'000) return std::to_string(ms / 60'000) + "m";
  return std::to_string(ms / 3'600'000) + "h";
}

Result<json> parsed(std::string_view body) {
  json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return Error{"Syntax", "the data plane's answer is no JSON"};
  }
  return root;
}

std::string or_dash(std::string value) { return value.empty() ? "-" : value; }

}  // namespace

std::string flow_query(const FlowWish& wish) {
  std::string out = "limit=" + std::to_string(wish.limit);
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += std::string("&") + name + "=" + net::percent_encode(value);
  };
  add("service", wish.service);
  add("backend", wish.backend);
  add("source", wish.source);
  return out;
}

std::string drain_body(const FlowWish& wish) {
  json out = json::object();
  if (!wish.service.empty()) out["service"] = wish.service;
  if (!wish.backend.empty()) out["backend"] = wish.backend;
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::string> flow_table(std::string_view body) {
  const auto root = parsed(body);
  if (!root) return root.error();
  std::vector<Row> rows{
      {"ID", "SERVICE", "PROTOCOL", "CLIENT", "BACKEND", "AGE", "IDLE", "IN", "OUT"}};
  for (const auto& flow : list_or_empty(*root, "flows")) {
    rows.push_back({text(flow, "id"), text(flow, "service"), or_dash(text(flow, "protocol")),
                    or_dash(text(flow, "client")), or_dash(text(flow, "backend")),
                    duration(number_or_zero(flow, "age_ms")),
                    duration(number_or_zero(flow, "idle_ms")),
                    std::to_string(number_or_zero(flow, "bytes_in")),
                    std::to_string(number_or_zero(flow, "bytes_out"))});
  }
  return rows.size() == 1 ? std::string("No connections.\n") : render(rows);
}

Result<std::string> drain_table(std::string_view body) {
  const auto root = parsed(body);
  if (!root) return root.error();
  std::vector<Row> rows{{"DRAINED SERVICE", "BACKEND", "CONNECTIONS"}};
  for (const auto& drain : list_or_empty(*root, "drains")) {
    const std::string service = text(drain, "service"), backend = text(drain, "backend");
    rows.push_back({service.empty() ? "(any)" : service, backend.empty() ? "(any)" : backend,
                    std::to_string(number_or_zero(drain, "connections"))});
  }
  return rows.size() == 1 ? std::string("Nothing is drained.\n") : render(rows);
}

std::string refusal_text(std::string_view body) {
  const auto root = parsed(body);
  if (!root) return "the answer is not that of a data plane";
  const std::string pointer = text(*root, "pointer");
  return text(*root, "reason") + ": " + text(*root, "message") +
         (pointer.empty() ? "" : " (" + pointer + ")");
}

}  // namespace lb::cli
