// What a data plane is offered, in short.
#pragma once

#include <string>
#include <vector>

#include "common/model/state.hpp"

namespace lb::test {

inline IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

inline ServicePort port(uint16_t number, const char* backend = nullptr,
                        uint16_t backend_port = 9000) {
  ServicePort out;
  out.port = number;
  if (backend != nullptr) {
    Backend b;
    b.address = ip(backend);
    b.port = backend_port;
    out.backends.push_back(b);
  }
  return out;
}

inline Service service(const std::string& key, const std::vector<std::string>& addresses,
                       std::vector<ServicePort> ports) {
  Service out{key, {}, std::move(ports), {}};
  for (const auto& address : addresses) out.addresses.push_back(ip(address.c_str()));
  return out;
}

}  // namespace lb::test
