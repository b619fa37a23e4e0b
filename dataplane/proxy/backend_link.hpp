// TLS towards one backend, from its connect on: while keys are agreed on, and while bytes flow.
//
// A record without behaviour of its own, of the session or hedge whose dial it is; its worker's
// thread.
#pragma once

#include <memory>
#include <string>

#include "dataplane/tls/tls_stream.hpp"

namespace lb::proxy {

struct BackendLink {
  std::unique_ptr<tls::TlsStream> tls;  // null: its bytes are passed on as they are
  std::string unsent;                   // of the handshake
};

// How a dial fails for TLS, beside the errors of connect(2), which are above zero.
inline constexpr int kTlsFailed = -1;
inline constexpr int kTlsMismatch = -2;  // over the protocol that the client has chosen
inline constexpr int kTlsTooSlow = -3;

}  // namespace lb::proxy
