#include "common/net/http_server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "common/net/http_connection.hpp"
#include "common/net/listen_socket.hpp"

namespace lb::net {
namespace {

using boost::system::error_code;
using http_detail::HttpConnection;
using http_detail::HttpShared;

constexpr std::chrono::milliseconds kAcceptPause{100};

// What is queued for a reader is the kernel's memory, also once the connection is closed.
void bound_queue(int fd, const HttpServerOptions& options) {
  const auto patience = static_cast<unsigned>(options.write_timeout.count());
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
  if (options.send_buffer == 0) return;
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof options.send_buffer);
}

// Made before its coroutine first runs, so that a drain counts it from the start.
template <class Stream>
asio::awaitable<void> serve(std::shared_ptr<HttpConnection<Stream>> connection) {
  co_await connection->run();
}

class Server : public HttpServer {
 public:
  Server(asio::io_context& io, ListenSocket socket, HttpServerOptions options, Handler handler)
      : io_(io), socket_(std::move(socket)), acceptor_(io, socket_.fd.release()), pause_(io) {
    shared_->options = std::move(options);
    shared_->handler = std::move(handler);
    acceptor_.native_non_blocking(true);
  }
  ~Server() override { stop(); }

  SocketAddress local() const override { return socket_.local; }
  const HttpServerCounters& counters() const override { return shared_->counters; }

  void drain(std::function<void()> done) override {
    // The kernel resets what is still queued when a listener is closed.
    accept_all();
    close_listener();
    if (shared_->open.empty()) return done();
    shared_->drained = std::move(done);
    error_code ignored;
    for (PlainStream* stream : shared_->idle) stream->socket().close(ignored);
  }

  void stop() override {
    close_listener();
    shared_->drained = nullptr;
    error_code ignored;
    for (PlainStream* stream : shared_->open) stream->socket().close(ignored);
  }

  // Readiness only: accept4 itself is ours, since generic sockets have no acceptor in Asio.
  void wait() {
    shared_->keep_spare();
    acceptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, shared = shared_](error_code error) {
                           if (!error && !shared->stopped) accept_or_pause();
                         });
  }

 private:
  // For want of memory that client is lost; the next ones are not.
  void accept_or_pause() {
    try {
      accept_all();
    } catch (const std::bad_alloc&) {
      ++shared_->counters.no_memory;
      pause();
    }
  }

  void close_listener() {
    if (std::exchange(shared_->stopped, true)) return;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    if (const auto* path = std::get_if<UnixPath>(&socket_.local)) ::unlink(path->path.c_str());
  }

  void accept_all() {
    for (;;) {
      const bool had_spare = shared_->spare.valid();
      const int fd = accept_one();
      if (fd >= 0) {
        adopt(Fd(fd), had_spare && !shared_->spare.valid());
      } else if (errno == EAGAIN) {
        return wait();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return pause();
      }
    }
  }

  int accept_one() {
    const auto accept = [this] {
      return ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    };
    const int fd = accept();
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || !shared_->spare.valid()) return fd;
    shared_->spare.reset();
    return accept();
  }

  // Out of descriptors or memory: the queue stays readable, so waiting for it would spin.
  void pause() {
    ++shared_->counters.accept_failures;
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this, shared = shared_](error_code error) {
      if (!error && !shared->stopped) wait();
    });
  }

  void adopt(Fd fd, bool once) {
    if (shared_->open.size() >= shared_->options.max_connections && !displace()) {
      ++shared_->counters.refused_connections;
      return;
    }
    ++shared_->counters.connections;
    error_code error;
    Generic::socket socket(io_);
    const int family = std::holds_alternative<UnixPath>(socket_.local)     ? AF_UNIX
                       : std::get<Endpoint>(socket_.local).address.is_v4() ? AF_INET
                                                                           : AF_INET6;
    if (family != AF_UNIX) bound_queue(fd.get(), shared_->options);
    socket.assign(Generic(family, 0), fd.get(), error);
    if (error) return;
    fd.release();
    converse(std::move(socket), once);
  }

  // Makes room: who connects and says nothing must not keep others out.
  bool displace() {
    if (shared_->reading.empty()) return false;
    PlainStream* oldest = shared_->reading.front();
    shared_->reading.pop_front();
    shared_->open.erase(oldest);
    shared_->idle.erase(oldest);
    ++shared_->counters.displaced;
    error_code ignored;
    oldest->socket().close(ignored);
    return true;
  }

  // What ends a conversation from inside is want of memory.
  auto over() const {
    return [shared = shared_](const std::exception_ptr& error) {
      if (error) ++shared->counters.no_memory;
    };
  }

  void converse(Generic::socket socket, bool once) {
    if (!shared_->options.tls) {
      auto plain = std::make_shared<HttpConnection<PlainStream>>(shared_, once, std::move(socket));
      return asio::co_spawn(io_, serve(std::move(plain)), over());
    }
    auto secure = std::make_shared<HttpConnection<TlsStream>>(shared_, once, std::move(socket),
                                                              *shared_->options.tls->current());
    asio::co_spawn(io_, serve(std::move(secure)), over());
  }

  asio::io_context& io_;
  ListenSocket socket_;
  asio::posix::stream_descriptor acceptor_;
  asio::steady_timer pause_;
  std::shared_ptr<HttpShared> shared_ = std::make_shared<HttpShared>();
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(asio::io_context& io,
                                                      HttpServerOptions options, Handler handler) {
  auto socket = open_listener(options.listen);
  if (!socket) return socket.error();
  auto server = std::make_unique<Server>(io, std::move(socket).value(), std::move(options),
                                         std::move(handler));
  server->wait();
  return std::unique_ptr<HttpServer>(std::move(server));
}

std::span<const HttpServerMetric> http_server_metrics() {
  static constexpr HttpServerMetric kMetrics[] = {
      {"http_connections_total", "Connections to our own servers",
       &HttpServerCounters::connections},
      {"http_requests_total", "Requests to our own servers", &HttpServerCounters::requests},
      {"http_refused_connections_total", "Connections above the limit",
       &HttpServerCounters::refused_connections},
      {"http_displaced_total", "Connections without a request that had to make room",
       &HttpServerCounters::displaced},
      {"http_timeouts_total", "Senders and readers that were too slow",
       &HttpServerCounters::timeouts},
      {"http_bad_requests_total", "Requests that are no HTTP", &HttpServerCounters::bad_requests},
      {"http_too_large_total", "Headers or bodies above the limit", &HttpServerCounters::too_large},
      {"http_tls_failures_total", "TLS handshakes that failed, those of strangers included",
       &HttpServerCounters::tls_failures},
      {"http_no_memory_total", "Requests and connections given up for want of memory",
       &HttpServerCounters::no_memory},
      {"http_accept_failures_total", "Times accepting was paused",
       &HttpServerCounters::accept_failures},
  };
  return kMetrics;
}

HttpServerOptions observe_options(SocketAddress listen) {
  HttpServerOptions out;
  out.listen = std::move(listen);
  out.write_timeout = kObserveWriteTimeout;
  out.send_buffer = kObserveSendBuffer;
  return out;
}

HttpResponse json_response(int status, std::string body) {
  return {status, {{"Content-Type", "application/json"}}, std::move(body) + "\n"};
}

HttpResponse text_response(int status, std::string body) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

HttpResponse metrics_response(std::shared_ptr<const std::string> text) {
  return {200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, {}, std::move(text)};
}

}  // namespace lb::net
