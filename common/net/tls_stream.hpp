// The only include of asio::ssl: a TLS stream over a Beast stream, and who must be at its far end.
#pragma once

#include "common/net/asio.hpp"

#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>

#include "common/net/socket_address.hpp"

namespace lb::net {

using Generic = asio::generic::stream_protocol;
using PlainStream = boost::beast::basic_stream<Generic>;
using TlsStream = asio::ssl::stream<PlainStream>;

// Has the verification fail unless the certificate is for `name`; an empty name asks for nothing.
inline void expect_peer(X509_VERIFY_PARAM* rules, const std::string& name) {
  if (name.empty()) return;
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size());
}

// Has the handshake fail unless the server's certificate is for `name`, or for the address where
// there is no name.
inline void expect_server(TlsStream& stream, const std::string& name,
                          const SocketAddress& address) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(stream.native_handle());
  if (!name.empty()) {
    expect_peer(rules, name);
    SSL_set_tlsext_host_name(stream.native_handle(), name.c_str());
  } else if (const auto* endpoint = std::get_if<Endpoint>(&address)) {
    X509_VERIFY_PARAM_set1_ip_asc(rules, endpoint->address.to_string().c_str());
  }
}

}  // namespace lb::net
