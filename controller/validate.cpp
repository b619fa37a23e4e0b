#include "controller/validate.hpp"

#include <ostream>

#include "common/model/admission.hpp"
#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "common/model/support.hpp"
#include "controller/sources/file_document.hpp"
#include "controller/sources/read_file.hpp"

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

// Backends by name stand where the file has them: as NAME:PORT.
std::string shown(const sources::FileDocument& document) {
  DesiredState state;
  state.services = document.services;
  auto out = nlohmann::ordered_json::parse(encode_state(state));
  for (const char* field : {"schema", "epoch", "generation"}) out.erase(field);
  for (const auto& named : document.named) {
    for (auto& service : out["services"]) {
      if (service["key"] != named.key) continue;
      for (auto& port : service["ports"]) {
        if (port["port"] != named.service_port) continue;
        port["backends"].push_back(named.host + ":" + std::to_string(named.port));
      }
    }
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
  const size_t refused = left_out(document->services, problems);
  if (wish.show) {
    out << shown(*document);
  } else {
    out << wish.files.back() << ": ";
    summarise(*document, out);
  }
  return refused == 0 ? kGood : kRefused;
}

}  // namespace lb::controller
