#include "common/net/http_server.hpp"

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "common/net/listen_socket.hpp"

namespace lb::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;
using Stream = beast::basic_stream<Generic>;
using Parser = http::request_parser<http::string_body>;

constexpr size_t kMaxHeader = 16 * 1024;
constexpr std::chrono::milliseconds kAcceptPause{100};

HttpResponse problem(int status, const char* reason, const std::string& message) {
  return json_response(
      status, std::string("{\"reason\":\"") + reason + "\",\"message\":\"" + message + "\"}");
}

// Conversions stand apart from the coroutines: g++ 12 destroys some temporaries of a coroutine
// twice.
HttpRequest from_beast(http::request<http::string_body> from) {
  HttpRequest out;
  out.method = std::string(from.method_string());
  out.target = std::string(from.target());
  for (const auto& field : from) {
    out.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  out.body = std::move(from.body());
  return out;
}

http::response<http::string_body> to_beast(const HttpResponse& from, bool keep, bool head) {
  http::response<http::string_body> out;
  out.version(11);
  out.result(static_cast<unsigned>(from.status));
  for (const auto& header : from.headers) out.set(header.name, header.value);
  out.body() = from.body;
  out.keep_alive(keep);
  out.prepare_payload();
  if (head) out.body().clear();
  return out;
}

auto awaitable(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

// Lives as long as any connection does: the server object may go first.
struct Shared {
  HttpServerOptions options;
  HttpServer::Handler handler;
  HttpServerCounters counters;
  std::set<Stream*> open;
  std::set<Stream*> idle;  // of these, those between two requests
  std::function<void()> drained;
  bool stopped = false;
  // Kept back for when descriptors run out: one connection at a time is answered all the same.
  Fd spare;

  void keep_spare() {
    if (!spare.valid()) spare.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
};
using SharedPtr = std::shared_ptr<Shared>;

class Connection {
 public:
  // Whoever is here `once` has the spare descriptor, and no second request.
  Connection(Generic::socket socket, SharedPtr shared, bool once)
      : stream_(std::move(socket)), shared_(std::move(shared)), once_(once) {
    shared_->open.insert(&stream_);
  }
  ~Connection() {
    error_code ignored;
    stream_.socket().close(ignored);
    shared_->keep_spare();
    shared_->open.erase(&stream_);
    shared_->idle.erase(&stream_);
    if (shared_->open.empty() && shared_->drained) std::exchange(shared_->drained, nullptr)();
  }

  asio::awaitable<void> run() {
    bool again = true;
    // Whoever has connected before a drain may still send its one request.
    for (bool first = true; again && (first || !shared_->stopped); first = false) {
      if (!first) shared_->idle.insert(&stream_);
      again = co_await one(first ? shared_->options.head_timeout : shared_->options.idle_timeout);
    }
    error_code ignored;
    stream_.socket().shutdown(Generic::socket::shutdown_send, ignored);
  }

 private:
  // One request and its answer; false when the connection is over.
  asio::awaitable<bool> one(std::chrono::milliseconds patience) {
    Parser parser;
    parser.header_limit(kMaxHeader);
    // Not "none": Beast 1.74 then takes any length for too large.
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    error_code error;
    stream_.expires_after(patience);
    co_await http::async_read_header(stream_, buffer_, parser, awaitable(error));
    shared_->idle.erase(&stream_);
    if (error) {
      const bool again = co_await refuse(error);
      co_return again;
    }
    const std::string method(parser.get().method_string());
    const std::string target(parser.get().target());
    const size_t limit = body_limit(method, target);
    if (parser.content_length().value_or(0) > limit) {
      error = http::error::body_limit;
      const bool again = co_await refuse(error);
      co_return again;
    }
    parser.body_limit(limit);
    const bool whole = co_await read_body(parser, error);
    bool again = false;
    if (whole) {
      again = co_await answer(parser.release());
    } else {
      again = co_await refuse(error);
    }
    co_return again;
  }

  size_t body_limit(const std::string& method, const std::string& target) const {
    const auto& limit = shared_->options.body_limit;
    return limit ? limit(method, target) : 0;
  }

  asio::awaitable<bool> read_body(Parser& parser, error_code& error) {
    stream_.expires_after(shared_->options.body_timeout);
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on{http::status::continue_, 11};
      co_await http::async_write(stream_, go_on, awaitable(error));
      if (error) co_return false;
    }
    co_await http::async_read(stream_, buffer_, parser, awaitable(error));
    co_return !error;
  }

  asio::awaitable<bool> answer(http::request<http::string_body> from) {
    ++shared_->counters.requests;
    const bool keep = from.keep_alive() && !once_;
    const bool head = from.method() == http::verb::head;
    stream_.expires_never();
    const HttpRequest request = from_beast(std::move(from));
    const HttpResponse response = co_await ask_handler(request);
    const bool written = co_await write(response, keep, head);
    co_return written&& keep;
  }

  // The handler may answer at once or later; a timer that never fires is what waits for it.
  asio::awaitable<HttpResponse> ask_handler(const HttpRequest& request) {
    struct Pending {
      asio::steady_timer wake;
      HttpResponse response;
      bool answered = false;
    };
    auto pending = std::make_shared<Pending>(Pending{
        asio::steady_timer(stream_.get_executor(), asio::steady_timer::time_point::max()), {}});
    shared_->handler(request, [pending](HttpResponse response) {
      if (std::exchange(pending->answered, true)) return;
      pending->response = std::move(response);
      pending->wake.cancel();
    });
    error_code ignored;
    while (!pending->answered) co_await pending->wake.async_wait(awaitable(ignored));
    co_return std::move(pending->response);
  }

  asio::awaitable<bool> write(const HttpResponse& from, bool keep, bool head = false) {
    auto response = to_beast(from, keep && !shared_->stopped, head);
    error_code error;
    stream_.expires_after(shared_->options.write_timeout);
    co_await http::async_write(stream_, response, awaitable(error));
    if (error == beast::error::timeout) ++shared_->counters.timeouts;
    co_return !error;
  }

  // Says why, where the sender can still be told.
  asio::awaitable<bool> refuse(error_code error) {
    const auto response = explain(error);
    if (response) co_await write(*response, false);
    co_await linger();
    co_return false;
  }

  // Counts the failure; what to tell the sender, if anything.
  std::optional<HttpResponse> explain(error_code error) {
    if (error == beast::error::timeout) ++shared_->counters.timeouts;
    if (error == http::error::body_limit) {
      ++shared_->counters.too_large;
      return problem(413, "TooLarge", "the body is larger than this call takes");
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      ++shared_->counters.too_large;
      return problem(431, "TooLarge", "the header is larger than 16 KiB");
    }
    const bool from_parser =
        error.category() == http::make_error_code(http::error::bad_method).category();
    if (!from_parser || error == http::error::end_of_stream ||
        error == http::error::partial_message)
      return std::nullopt;
    ++shared_->counters.bad_requests;
    return problem(400, "Syntax", "not an HTTP/1.1 request: " + error.message());
  }

  // Closing with unread input would reset the connection and take our answer with it.
  asio::awaitable<void> linger() {
    error_code error;
    stream_.socket().shutdown(Generic::socket::shutdown_send, error);
    char sink[4096];
    stream_.expires_after(std::chrono::seconds(1));
    for (int rounds = 0; !error && rounds < 64; ++rounds) {
      co_await stream_.async_read_some(asio::buffer(sink), awaitable(error));
    }
  }

  Stream stream_;
  SharedPtr shared_;
  const bool once_;
  beast::flat_buffer buffer_{kMaxHeader + 64 * 1024};
};

// Made before its coroutine first runs, so that a drain counts it from the start.
asio::awaitable<void> serve(std::shared_ptr<Connection> connection) { co_await connection->run(); }

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
    for (Stream* stream : shared_->idle) stream->socket().close(ignored);
  }

  void stop() override {
    close_listener();
    shared_->drained = nullptr;
    error_code ignored;
    for (Stream* stream : shared_->open) stream->socket().close(ignored);
  }

  // Readiness only: accept4 itself is ours, since generic sockets have no acceptor in Asio.
  void wait() {
    shared_->keep_spare();
    acceptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, shared = shared_](error_code error) {
                           if (!error && !shared->stopped) accept_all();
                         });
  }

 private:
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
    if (shared_->open.size() >= shared_->options.max_connections) {
      ++shared_->counters.refused_connections;
      return;
    }
    ++shared_->counters.connections;
    error_code error;
    Generic::socket socket(io_);
    const int family = std::holds_alternative<UnixPath>(socket_.local)     ? AF_UNIX
                       : std::get<Endpoint>(socket_.local).address.is_v4() ? AF_INET
                                                                           : AF_INET6;
    socket.assign(Generic(family, 0), fd.get(), error);
    if (error) return;
    fd.release();
    asio::co_spawn(io_, serve(std::make_shared<Connection>(std::move(socket), shared_, once)),
                   asio::detached);
  }

  asio::io_context& io_;
  ListenSocket socket_;
  asio::posix::stream_descriptor acceptor_;
  asio::steady_timer pause_;
  SharedPtr shared_ = std::make_shared<Shared>();
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

HttpResponse json_response(int status, std::string body) {
  return {status, {{"Content-Type", "application/json"}}, std::move(body) + "\n"};
}

HttpResponse text_response(int status, std::string body) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(body)};
}

}  // namespace lb::net
