// A small HTTP/1.1 server (RFC 9112) over TCP, TLS or a unix socket, for admin, health and metrics.
//
// Owned by the thread that runs the io_context; the handler is called there and may answer later,
// once, on that same thread; a handler that throws std::bad_alloc, or drops its `Respond`
// unanswered, is answered 503 "OutOfMemory". Limits come before any parser: 16 KiB of header (431),
// a body limit per target (413), deadlines for slow senders and readers, a bound on connections
// (the oldest that has no whole request makes room), a pause when descriptors run out; one is kept
// back, so that one connection at a time, for one request, is answered even then. No exception
// leaves it. A `shared_body` is sent from where it is, and long answers take turns; who
// takes nothing for write_timeout, or six times as long for all of one, loses the connection. A unix socket is made 0660, its folder
// 0700 when missing; a stale socket file of a dead process is replaced, a live one is an error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_message.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/tls.hpp"

namespace lb::net {

struct HttpServerOptions {
  SocketAddress listen;
  // The largest body that a request may carry.
  std::function<size_t(const std::string& method, const std::string& target)> body_limit;
  std::shared_ptr<TlsIdentity> tls = {};  // null: plain
  unsigned max_connections = 256;
  std::chrono::milliseconds head_timeout{10'000};  // until a request's header is whole
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds write_timeout{30'000};
  std::chrono::milliseconds idle_timeout{75'000};  // between two requests
  // Bytes that the kernel keeps of the answers on one TCP connection; 0: as many as it likes.
  int send_buffer = 0;
};

// For a listener whose readers nobody knows: what one that does not read can hold, and how long.
inline constexpr std::chrono::milliseconds kObserveWriteTimeout{5'000};
inline constexpr int kObserveSendBuffer = 128 * 1024;
HttpServerOptions observe_options(SocketAddress listen);

struct HttpServerCounters {
  uint64_t connections = 0, requests = 0;
  uint64_t refused_connections = 0;  // above max_connections
  uint64_t timeouts = 0, bad_requests = 0, too_large = 0, accept_failures = 0;
  uint64_t displaced = 0;     // said nothing, and had to make room for another
  uint64_t tls_failures = 0;  // handshakes, strangers included
  uint64_t no_memory = 0;     // requests and connections given up for want of memory
};

// One metric of a server: its name without a program's prefix, what it counts, and where it is.
struct HttpServerMetric {
  const char* name;
  const char* help;
  uint64_t HttpServerCounters::*value;
};
std::span<const HttpServerMetric> http_server_metrics();

class HttpServer {
 public:
  using Respond = std::function<void(HttpResponse)>;
  using Handler = std::function<void(const HttpRequest&, Respond)>;

  // Error "Listen" with the reason.
  static Result<std::unique_ptr<HttpServer>> start(asio::io_context& io, HttpServerOptions options,
                                                   Handler handler);
  virtual ~HttpServer() = default;

  // As bound: port 0 has become a number.
  virtual SocketAddress local() const = 0;
  virtual const HttpServerCounters& counters() const = 0;

  // Takes what has connected already, nothing new; lets each request that is under way or about to
  // come finish, and calls `done` once the last connection is over.
  virtual void drain(std::function<void()> done) = 0;

  // Closes the listener and every connection. Idempotent.
  virtual void stop() = 0;
};

// A JSON body, newline-terminated so that curl's output ends as a terminal expects.
HttpResponse json_response(int status, std::string body);
HttpResponse text_response(int status, std::string body);
// Prometheus' text format, which is not copied.
HttpResponse metrics_response(std::shared_ptr<const std::string> text);

}  // namespace lb::net
