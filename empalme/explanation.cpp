#include "empalme/explanation.hpp"

#include <vector>

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"
#include "empalme/table.hpp"

namespace lb::cli {
namespace {

using nlohmann::json;
using wire::list_or_empty;
using wire::number_or_zero;

bool flag(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

// The one sentence that answers most questions.
std::string verdict(const json& root) {
  if (!flag(root, "exists")) {
    return flag(root, "served") ? "Gone from its source; its removal is under way."
                                : "Not known to any source.";
  }
  if (!flag(root, "ours")) return "Not served by this controller: " + text(root, "why_not") + ".";
  for (const auto& each : list_or_empty(root, "problems")) {
    if (flag(each, "blocks")) return "Not served: " + text(each, "message") + ".";
  }
  if (list_or_empty(root, "addresses").empty()) return "Not served: it has no address.";
  if (!flag(root, "confirmed")) return "Not confirmed yet by enough data planes.";
  return list_or_empty(root, "failed").empty() && list_or_empty(root, "problems").empty()
             ? "Served as asked."
             : "Served, but not all as asked.";
}

std::string reasons(const json& root) {
  std::string out;
  for (const auto& each : list_or_empty(root, "problems")) {
    const auto port = number_or_zero(each, "port");
    out += "  " + text(each, "reason") + ": " +
           (port == 0 ? "" : "port " + std::to_string(port) + " ") + text(each, "message") + "\n";
  }
  for (const auto& each : list_or_empty(root, "failed")) {
    out += "  " + text(each, "reason") + ": " + text(each, "where") + ": " + text(each, "message") +
           "\n";
  }
  return out;
}

// The last that was heard of them is kept.
std::string stale(const json& root) {
  std::string out;
  for (const auto& each : list_or_empty(root, "stale")) {
    out += "  SourceStale: " + text(each, "source") + ": " + text(each, "message") + "\n";
  }
  return out;
}

std::string addresses(const json& root) {
  std::vector<Row> rows{{"ADDRESS", "POOL", "WHY"}};
  for (const auto& each : list_or_empty(root, "addresses")) {
    const std::string pool = text(each, "pool");
    rows.push_back({text(each, "address"), pool.empty() ? "-" : pool, text(each, "why")});
  }
  return rows.size() == 1 ? "" : "\n" + render(rows);
}

std::string backends(const json& root) {
  std::vector<Row> rows{{"PORT", "BACKEND", "STATE", "NAME", "NODE"}};
  for (const auto& port : list_or_empty(root, "ports")) {
    const std::string name =
        std::to_string(number_or_zero(port, "port")) + "/" + text(port, "protocol");
    const auto& all = list_or_empty(port, "backends");
    if (all.empty()) rows.push_back({name, "none", "-", "-", "-"});
    for (const auto& each : all) {
      const std::string who = text(each, "name"), node = text(each, "node");
      rows.push_back({name, text(each, "backend"), text(each, "state"), who.empty() ? "-" : who,
                      node.empty() ? "-" : node});
    }
  }
  return rows.size() == 1 ? "" : "\n" + render(rows);
}

std::string dataplanes(const json& root) {
  std::vector<Row> rows{{"DATA PLANE", "REACH", "HOLDS", "LAST ACKNOWLEDGED", "LAST ERROR"}};
  for (const auto& each : list_or_empty(root, "dataplanes")) {
    const std::string when = text(each, "acknowledged"), error = text(each, "error");
    rows.push_back({text(each, "name"), text(each, "reach"), text(each, "holds"),
                    when.empty() ? "never" : when, error.empty() ? "-" : error});
  }
  return rows.size() == 1 ? "\nNo data plane is known.\n" : "\n" + render(rows);
}

std::string conditions(const json& root) {
  std::vector<Row> rows{{"CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"}};
  for (const auto& each : list_or_empty(root, "conditions")) {
    rows.push_back({text(each, "type"), text(each, "status"), text(each, "reason"),
                    text(each, "since"), text(each, "message")});
  }
  return rows.size() == 1 ? "" : "\n" + render(rows);
}

// What it has planned and published it does not know: only what the sources say.
std::string on_standby(const json& root) {
  const std::string leader = text(root, "leader");
  return "This controller stands by and does not act: " +
         (leader.empty() ? "nobody is known to lead." : leader + " leads, ask that one.") +
         "\nWhat the sources say:\n\n" + text(root, "service") + "\n" + stale(root) +
         backends(root) + conditions(root);
}

}  // namespace

Result<std::string> explanation(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return Error{"Syntax", "the controller's answer is no JSON"};
  }
  if (root.value("leading", json(true)) == false) return on_standby(root);
  return text(root, "service") + "\n" + verdict(root) + "\n" + reasons(root) + stale(root) +
         addresses(root) + backends(root) + dataplanes(root) + conditions(root);
}

}  // namespace lb::cli
