#include "empalme/status_table.hpp"

#include <algorithm>
#include <vector>

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"
#include "empalme/table.hpp"

namespace lb::cli {
namespace {

using nlohmann::json;
using wire::list_or_empty;
using wire::number_or_zero;

// Up: may be given new connections. Not checked actively ("unknown") counts as up.
bool up(const json& backend) {
  const std::string health = text(backend, "health");
  return text(backend, "state") == "ready" && health != "down" && health != "ejected";
}

std::string backends(const json& port) {
  const json& all = list_or_empty(port, "backends");
  const auto good = std::count_if(all.begin(), all.end(), up);
  return std::to_string(good) + "/" + std::to_string(all.size());
}

std::string state(const json& port) {
  const auto programmed = port.find("programmed");
  if (programmed != port.end() && *programmed == true) return "serving";
  const std::string reason = text(port, "reason");
  return reason.empty() ? "not served" : reason;
}

// The first of a list of texts, and how many more there are; empty: of an empty one.
std::string first_of(const json& object, const char* name) {
  const json& all = list_or_empty(object, name);
  if (all.empty() || !all[0].is_string()) return {};
  const std::string more = all.size() == 1 ? "" : " +" + std::to_string(all.size() - 1);
  return printable(all[0].get<std::string>()) + more;
}

// Where several services share the port: for whom this one is.
std::string wanted(const json& port) {
  const auto match = port.find("match");
  if (match == port.end() || !match->is_object()) return {};
  const std::string names = first_of(*match, "names"), sources = first_of(*match, "sources");
  return (names.empty() ? "" : " " + names) + (sources.empty() ? "" : " from " + sources);
}

Row row(const json& service, const json& port) {
  return {
      text(service, "key"),
      text(port, "address"),
      std::to_string(number_or_zero(port, "port")) + "/" + text(port, "protocol") + wanted(port),
      backends(port),
      std::to_string(number_or_zero(port, "connections")),
      state(port)};
}

std::string reasons(const json& failed) {
  std::string out;
  for (const auto& each : failed) {
    std::string where = text(each, "backend");
    if (where.empty())
      where = text(each, "address") + ":" + std::to_string(number_or_zero(each, "port"));
    out += text(each, "key") + ": " + where + ": " + text(each, "reason") + ": " +
           text(each, "message") + "\n";
  }
  return out;
}

}  // namespace

Result<std::string> status_table(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return Error{"Syntax", "the data plane's answer is no JSON"};
  }
  std::vector<Row> rows{{"SERVICE", "ADDRESS", "PORT", "BACKENDS", "CONNECTIONS", "STATE"}};
  for (const auto& service : list_or_empty(root, "services")) {
    for (const auto& port : list_or_empty(service, "ports")) rows.push_back(row(service, port));
  }
  if (rows.size() == 1) return std::string("No services are served.\n");
  const std::string why = reasons(list_or_empty(root, "failed"));
  return render(rows) + (why.empty() ? "" : "\n" + why);
}

}  // namespace lb::cli
