// Asks an HTTP/1.1 server of ours over TCP, TLS or a unix socket.
//
// One connection stays open between requests, for a minute at most, so that neither side sets one
// up for each; requests at the same time have one each. A kept connection that turns out to be over
// before a byte of the answer is replaced and the request asked again, if it may be asked twice
// (RFC 9110, 9.2.2); otherwise that is an error.
//
// The asynchronous form runs on the caller's io_context and calls back there, once, also when the
// client is destroyed meanwhile (with "Cancelled"). The blocking form is for command-line tools.
// Errors: "Connect" (nobody there), "Tls" (not whom we expect, or we are not), "Timeout",
// "Cancelled", "Protocol" (no HTTP, or cut short), "TooLarge" (the body, by the caller's limit).
#pragma once

#include <chrono>
#include <cstdint>
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

  enum class Connections : uint8_t { kKept, kOneEach };
  static constexpr size_t kMaxBody = 256u << 20;

  // `most_body`: of an answer, in bytes.
  HttpClient(asio::io_context& io, HttpServerAddress server,
             Connections connections = Connections::kKept, size_t most_body = kMaxBody);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `timeout` covers everything, from connecting to the last byte (for each of two connections,
  // where the first was over).
  void request(HttpRequest request, std::chrono::milliseconds timeout, Done done);

  // How often a connection was made.
  uint64_t connects() const;

 private:
  struct Calls;

  std::shared_ptr<Calls> calls_;
};

Result<HttpResponse> ask(const HttpServerAddress& server, HttpRequest request,
                         std::chrono::milliseconds timeout);

}  // namespace lb::net
