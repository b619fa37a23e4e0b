// Asks an HTTP/1.1 server of ours over TCP or a unix socket; one connection for each request.
//
// The asynchronous form runs on the caller's io_context and calls back there, once, also when the
// client is destroyed meanwhile (with "Cancelled"). The blocking form is for command-line tools.
// Errors: "Connect" (nobody there), "Timeout", "Cancelled", "Protocol" (no HTTP, or cut short).
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_message.hpp"
#include "common/net/socket_address.hpp"

namespace lb::net {

class HttpClient {
 public:
  using Done = std::function<void(Result<HttpResponse>)>;

  HttpClient(asio::io_context& io, SocketAddress server);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `timeout` covers everything, from connecting to the last byte.
  void request(HttpRequest request, std::chrono::milliseconds timeout, Done done);

 private:
  struct Calls;

  asio::io_context& io_;
  const SocketAddress server_;
  std::shared_ptr<Calls> calls_;
};

Result<HttpResponse> ask(const SocketAddress& server, HttpRequest request,
                         std::chrono::milliseconds timeout);

}  // namespace lb::net
