#include "controller/validate.hpp"

#include <algorithm>
#include <ctime>
#include <ostream>
#include <sstream>

#include "common/model/admission.hpp"
#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "common/model/support.hpp"
#include "controller/sources/file_document.hpp"
#include "controller/sources/read_file.hpp"
#include "controller/validate_certificates.hpp"

namespace lb::controller {
namespace {

constexpr int kGood = 0;
constexpr int kRefused = 1;
constexpr int kUnreadable = 2;

// What a data plane of this version would leave out, each with its reason.
size_t left_out(const std::vector<Service>& services, std::ostream& problems) {
  DesiredState state;
  state.services = services;
  size_t count = 0;
  for (const auto& failure : admit(state).failed) {
    const Endpoint at{failure.address, failure.port};
    problems << failure.key << ": " << (failure.backend.empty() ? at.to_string() : failure.backend)
             << ": " << failure.reason << ": " << failure.message << "\n";
    ++count;
  }
  for (const auto& service : services) {
    for (const auto& port : service.ports) {
      const auto why = unsupported(port);
      if (!why) continue;
      problems << service.key << ": port " << port.port << ": " << *why << "\n";
      ++count;
    }
  }
  return count;
}

std::string counted(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void summarise(const sources::FileDocument& document, std::ostream& out) {
  size_t listeners = 0, backends = 0;
  for (const auto& service : document.services) {
    listeners += service.addresses.size() * service.ports.size();
    for (const auto& port : service.ports) backends += port.backends.size();
  }
  out << counted(document.services.size(), "service") << ", " << counted(listeners, "listener")
      << ", " << counted(backends, "backend") << " by address, " << document.named.size()
      << " by name\n";
}

using Shown = nlohmann::ordered_json;

// Every port with that key, number and protocol.
template <class Use>
void for_port(Shown& document, const std::string& key, uint16_t number, Protocol protocol,
              const Use& use) {
  for (auto& service : document["services"]) {
    if (service["key"] != key) continue;
    for (auto& port : service["ports"]) {
      if (port["port"] == number && port["protocol"] == to_string(protocol)) use(port);
    }
  }
}

Shown& group_of(Shown& port, const std::string& name) {
  auto& groups = port["groups"];
  return *std::find_if(groups.begin(), groups.end(),
                       [&](const Shown& group) { return group["name"] == name; });
}

// Backends by name, and groups of other services' backends, stand as a file has them.
std::string shown(const sources::FileDocument& document) {
  DesiredState state;
  state.services = document.services;
  auto out = Shown::parse(encode_state(state));
  for (const char* field : {"schema", "epoch", "generation"}) out.erase(field);
  show_paths(out, document);
  for (const auto& named : document.named) {
    for_port(out, named.key, named.service_port, named.protocol, [&](Shown& port) {
      Shown& holder = named.group.empty() ? port : group_of(port, named.group);
      holder["backends"].push_back(named.host + ":" + std::to_string(named.port));
    });
  }
  for (const auto& named : document.joined) {
    const auto& join = named.join;
    for_port(out, named.key, join.port, join.protocol, [&](Shown& port) {
      Shown& group = group_of(port, join.group);
      group["service"] = join.service;
      if (join.service_port != 0) group["port"] = join.service_port;
    });
  }
  return out.dump(2) + "\n";
}

}  // namespace

int validate_files(const Validate& wish, std::ostream& out, std::ostream& problems) {
  const auto layers = sources::read_layers(wish.files);
  if (!layers) {
    problems << layers.error().message << "\n";
    return kUnreadable;
  }
  const auto document = sources::parse_file_layers(*layers, sources::from_process);
  if (!document) {
    problems << document.error().message;
    if (!document.error().pointer.empty()) problems << " (" << document.error().pointer << ")";
    problems << "\n";
    return kRefused;
  }
  std::ostringstream certificates;
  const size_t refused =
      left_out(document->services, problems) +
      describe_certificates(*document, std::time(nullptr), certificates, problems);
  if (wish.show) {
    out << shown(*document);
  } else {
    out << wish.files.back() << ": ";
    summarise(*document, out);
    out << certificates.str();
  }
  return refused == 0 ? kGood : kRefused;
}

}  // namespace lb::controller
