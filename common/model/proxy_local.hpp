// What a PROXY header says of connections of our own, such as health checks: that they are nobody
// else's. The rest of the protocol is in dataplane/proxy/proxy_header.hpp. Pure; any thread.
#pragma once

#include <string_view>

#include "common/model/state.hpp"

namespace lb {

inline constexpr std::string_view kProxyV2Signature{"\r\n\r\n\0\r\nQUIT\n", 12};

// UNKNOWN in version 1, LOCAL without addresses in version 2; empty for kOff.
inline std::string_view proxy_local_header(ProxyProtocol version) {
  using namespace std::string_view_literals;
  if (version == ProxyProtocol::kV1) return "PROXY UNKNOWN\r\n";
  if (version == ProxyProtocol::kV2) return "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"sv;
  return {};
}

}  // namespace lb
