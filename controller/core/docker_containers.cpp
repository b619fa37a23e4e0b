#include "controller/core/docker_containers.hpp"

#include <algorithm>
#include <iterator>

#include "common/model/json.hpp"
#include "controller/core/fields.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;

ContainerHealth health_of_name(std::string_view name) {
  if (name == "starting") return ContainerHealth::kStarting;
  if (name == "healthy") return ContainerHealth::kHealthy;
  if (name == "unhealthy") return ContainerHealth::kUnhealthy;
  return ContainerHealth::kNone;
}

// "Up 3 seconds (health: starting)", "Up 2 hours (unhealthy)".
ContainerHealth health_of_status(std::string_view status) {
  const size_t open = status.rfind('(');
  if (open == std::string_view::npos || !status.ends_with(')')) return ContainerHealth::kNone;
  std::string_view name = status.substr(open + 1, status.size() - open - 2);
  constexpr std::string_view kBegins = "health: ";
  if (name.starts_with(kBegins)) name.remove_prefix(kBegins.size());
  return health_of_name(name);
}

// Links put further names, with further slashes, beside a container's own.
std::string name_of(const Fields& root) {
  std::string out;
  for (std::string name : root.texts("Names")) {
    if (name.starts_with('/')) name.erase(0, 1);
    if (name.find('/') == std::string::npos) return name;
    if (out.empty()) out = std::move(name);
  }
  return out;
}

void read_address(const Fields& network, const char* field, std::vector<IpAddress>& out) {
  const std::string text = network.text(field);
  if (text.empty()) return;
  const auto address = IpAddress::parse(text);
  if (!address) Fields::refuse(network.at(field), "an address");
  out.push_back(*address);
}

std::map<std::string, std::vector<IpAddress>> read_networks(const json& item, const Fields& root) {
  std::map<std::string, std::vector<IpAddress>> out;
  const Fields settings = root.child("NetworkSettings");
  if (!settings.given("Networks")) return out;
  const Fields networks = settings.child("Networks");
  for (const auto& [name, value] : item.at("NetworkSettings").at("Networks").items()) {
    auto& addresses = out[name];
    if (!networks.given(name.c_str())) continue;
    const Fields network = networks.child(name.c_str());
    read_address(network, "IPAddress", addresses);
    read_address(network, "GlobalIPv6Address", addresses);
  }
  return out;
}

Container read_container(const json& item, const std::string& path) {
  const Fields root(item, path);
  Container out;
  out.id = root.text("Id");
  if (!is_container_id(out.id)) Fields::refuse(root.at("Id"), "an id");
  out.name = name_of(root);
  out.labels = root.text_map("Labels");
  out.state = root.text("State");
  out.created = root.number("Created", UINT32_MAX).value_or(0);
  out.health = root.given("Health") ? health_of_name(root.child("Health").text("Status"))
                                    : health_of_status(root.text("Status"));
  out.network_mode = root.child("HostConfig").text("NetworkMode");
  out.networks = read_networks(item, root);
  return out;
}

std::string id_of(const json& item) {
  if (!item.is_object()) return {};
  const auto found = item.find("Id");
  return found != item.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Those of its own, and a network's when a container joins or leaves it.
std::optional<ContainerEvent> read_event(const Fields& root) {
  const Fields actor = root.child("Actor");
  const Fields attributes = actor.child("Attributes");
  const std::string type = root.text("Type", "container");
  ContainerEvent out;
  out.action = root.text("Action", root.text("status"));
  if (type == "network") {
    out.id = attributes.text("container");
    if (out.action != "connect" && out.action != "disconnect") return std::nullopt;
  } else if (type == "container") {
    out.id = actor.text("ID", root.text("id"));
    out.signal = attributes.text("signal");
  }
  // Health checks run by "exec", many a second, and change nothing by themselves.
  if (out.id.empty() || out.action.empty() || out.action.starts_with("exec_")) return std::nullopt;
  return out;
}

}  // namespace

bool Container::gone() const {
  return state != "running" && state != "paused" && state != "restarting";
}

bool ContainerEvent::ends() const {
  static constexpr std::string_view kSignals[] = {"2", "3", "9", "15"};
  return action == "kill" && std::ranges::find(kSignals, signal) != std::end(kSignals);
}

bool is_container_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

Result<ContainerList> decode_containers(std::string_view text) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Error{"InvalidObject", "not valid JSON"};
  if (!parsed.is_array()) return Error{"InvalidObject", "is no list of containers"};
  ContainerList out;
  for (size_t i = 0; i < parsed.size(); ++i) {
    try {
      out.containers.push_back(read_container(parsed[i], "/" + std::to_string(i)));
    } catch (const Refused& refused) {
      out.unread.push_back({id_of(parsed[i]), refused.error});
    }
  }
  return out;
}

Result<std::optional<ContainerEvent>> decode_container_event(std::string_view text) {
  return decode_fields<std::optional<ContainerEvent>>(text, read_event);
}

}  // namespace lb::plan
