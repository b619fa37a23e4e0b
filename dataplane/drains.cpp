#include "dataplane/drains.hpp"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/net/write_file.hpp"

namespace lb::dataplane {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = 1 << 20;  // of one, from outside; the file is as large as we made it
constexpr size_t kMaxDepth = 8;

proxy::Drain read_drain(const nlohmann::json& value, const std::string& pointer,
                        PassedOver* lenient = nullptr) {
  wire::ObjectReader reader(value, pointer, lenient);
  proxy::Drain out;
  reader.text("service", out.service);
  std::string backend;
  reader.text("backend", backend);
  reader.finish();
  // An empty variable of a script is not meant to be everything.
  for (const char* name : {"service", "backend"}) {
    const auto found = value.find(name);
    if (found != value.end() && *found == "") wire::refuse(pointer + "/" + name, "is empty");
  }
  if (backend.empty()) return out;
  const auto endpoint = parse_endpoint(backend);
  if (!endpoint) wire::refuse(pointer + "/backend", endpoint.error().message);
  out.backend = *endpoint;
  return out;
}

Json to_json(const proxy::Drain& drain) {
  Json out = Json::object();
  if (!drain.service.empty()) out["service"] = drain.service;
  if (drain.backend) out["backend"] = drain.backend->to_string();
  return out;
}

uint64_t connections(const proxy::Drain& drain, const std::vector<proxy::ServiceStatus>& live) {
  uint64_t out = 0;
  for (const auto& service : live) {
    if (!drain.service.empty() && service.key != drain.service) continue;
    for (const auto& port : service.ports) {
      if (!drain.backend) {
        out += port.connections;
        continue;
      }
      for (const auto& backend : port.backends) {
        if (backend.backend == *drain.backend) out += backend.connections;
      }
    }
  }
  return out;
}

}  // namespace

Result<proxy::Drain> decode_drain(std::string_view body) {
  try {
    return read_drain(wire::parse_strict(body, kMaxBytes, kMaxDepth), "");
  } catch (const wire::Refused& refused) {
    return refused.error;
  }
}

std::string encode_drains(const std::set<proxy::Drain>& drains,
                          const std::vector<proxy::ServiceStatus>& live) {
  Json list = Json::array();
  for (const auto& drain : drains) {
    Json each = to_json(drain);
    each["connections"] = connections(drain, live);
    list.push_back(std::move(each));
  }
  return Json{{"drains", std::move(list)}}.dump();
}

Drains::Drains(std::string folder, Report report)
    : folder_(std::move(folder)), report_(std::move(report)) {
  if (!folder_.empty()) load();
}

void Drains::add(proxy::Drain drain) {
  drains_.insert(std::move(drain));
  save();
}

void Drains::lift(const proxy::Drain& drain) {
  drains_.erase(drain);
  save();
}

void Drains::load() {
  std::ifstream file(folder_ + "/drains.json", std::ios::binary);
  if (!file) return;
  const std::string text(std::istreambuf_iterator<char>(file), {});
  try {
    const auto root = wire::parse_strict(text, SIZE_MAX, kMaxDepth);
    wire::ObjectReader reader(root, "");
    reader.list("drains", [this](const nlohmann::json& each, const std::string& pointer) {
      load_one(each, pointer);
    });
  } catch (const wire::Refused& refused) {
    unreadable(refused.error);
  }
}

// Not the ones beside it.
void Drains::load_one(const nlohmann::json& value, const std::string& pointer) try {
  PassedOver unknown;
  drains_.insert(read_drain(value, pointer, &unknown));
  if (unknown.count > 0) unreadable(unknown.first.front());
} catch (const wire::Refused& refused) {
  unreadable(refused.error);
}

// The next change writes the file anew, without that.
void Drains::unreadable(const Error& error) const {
  std::error_code failed;
  std::filesystem::copy_file(folder_ + "/drains.json", folder_ + "/drains.json.bad",
                             std::filesystem::copy_options::overwrite_existing, failed);
  report_({"DrainsUnreadable", folder_ + "/drains.json: " + error.message, error.pointer});
}

void Drains::save() const {
  if (folder_.empty()) return;
  Json list = Json::array();
  for (const auto& drain : drains_) list.push_back(to_json(drain));
  const auto saved = net::write_file(folder_ + "/drains.json", Json{{"drains", list}}.dump());
  if (!saved) report_({"DrainsNotSaved", saved.error().message});
}

}  // namespace lb::dataplane
