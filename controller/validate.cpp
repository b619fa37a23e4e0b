#include "controller/validate.hpp"

#include <ostream>

#include "controller/sources/file_document.hpp"
#include "controller/sources/read_file.hpp"

namespace lb::controller {
namespace {

constexpr int kGood = 0;
constexpr int kRefused = 1;
constexpr int kUnreadable = 2;

size_t report(const Service& service, const IpAddress& address, AddressUse use,
              std::ostream& problems) {
  const auto why = refuse_address(address, use, is_kubernetes_key(service.key));
  if (why) problems << service.key << ": " << *why << " and would not be programmed\n";
  return why ? 1 : 0;
}

size_t refused_addresses(const Service& service, std::ostream& problems) {
  size_t count = 0;
  for (const auto& address : service.addresses) {
    count += report(service, address, AddressUse::kListener, problems);
  }
  for (const auto& port : service.ports) {
    for (const auto& backend : port.backends) {
      count += report(service, backend.address, AddressUse::kBackend, problems);
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

}  // namespace

int validate_file(const std::string& path, std::ostream& out, std::ostream& problems) {
  const auto text = sources::read_file(path);
  if (!text) {
    problems << path << ": " << text.error().message << "\n";
    return kUnreadable;
  }
  const auto document = sources::parse_file_document(*text);
  if (!document) {
    problems << path << ": " << document.error().message;
    if (!document.error().pointer.empty()) problems << " (" << document.error().pointer << ")";
    problems << "\n";
    return kRefused;
  }
  size_t refused = 0;
  for (const auto& service : document->services) refused += refused_addresses(service, problems);
  out << path << ": ";
  summarise(*document, out);
  return refused == 0 ? kGood : kRefused;
}

}  // namespace lb::controller
