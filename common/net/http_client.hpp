// Asks an HTTP/1.1 server of ours over TCP, TLS or a unix socket; one connection for each request.
//
// The asynchronous form runs on the caller's io_context and calls back there, once, also when the
// client is destroyed meanwhile (with "Cancelled"). The blocking form is for command-line tools.
// Errors: "Connect" (nobody there), "Tls" (not whom we expect, or we are not), "Timeout",
// "Cancelled", "Protocol" (no HTTP, or cut short).
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_message.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/tls.hpp"

namespace lb::net {

struct HttpServerAddress {
  HttpServerAddress(SocketAddress where, std::shared_ptr<TlsIdentity> how = {})  // NOLINT(implicit)
      : address(std::move(where)), tls(std::move(how)) {}

  SocketAddress address;
  std::shared_ptr<TlsIdentity> tls;  // null: plain
};

class HttpClient {
 public:
  using Done = std::function<void(Result<HttpResponse>)>;

  HttpClient(asio::io_context& io, HttpServerAddress server);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `timeout` covers everything, from connecting to the last byte.
  void request(HttpRequest request, std::chrono::milliseconds timeout, Done done);

 private:
  struct Calls;

  asio::io_context& io_;
  const HttpServerAddress server_;
  std::shared_ptr<Calls> calls_;
};

Result<HttpResponse> ask(const HttpServerAddress& server, HttpRequest request,
                         std::chrono::milliseconds timeout);

}  // namespace lb::net
