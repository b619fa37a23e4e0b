// One HTTP/1.1 connection of our server, plain or TLS: reads, asks the handler, answers.
//
// Inside common/net only (it brings Beast and OpenSSL with it). Lives on the io_context's thread;
// a coroutine of its own holds it until the connection is over. No exception leaves it.
#pragma once

#include <fcntl.h>

#include "common/net/tls_stream.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "common/net/fd.hpp"
#include "common/net/http_server.hpp"

namespace lb::net::http_detail {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Parser = http::request_parser<http::string_body>;
using BodyView = http::response<http::span_body<const char>>;

inline constexpr size_t kMaxHeader = 16 * 1024;
// Of one answer at a time: the next may be due to somebody else.
inline constexpr size_t kTurn = 64 * 1024;
// Who reads steadily gets all of an answer, within so many times the deadline of one turn.
inline constexpr int kDeadlinesInAll = 6;

inline HttpResponse problem(int status, const char* reason, const std::string& message) {
  return json_response(
      status, std::string("{\"reason\":\"") + reason + "\",\"message\":\"" + message + "\"}");
}

// Conversions stand apart from the coroutines: g++ 12 destroys some temporaries of a coroutine
// twice.
inline HttpRequest from_beast(http::request<http::string_body> from) {
  HttpRequest out;
  out.method = std::string(from.method_string());
  out.target = std::string(from.target());
  for (const auto& field : from) {
    out.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  out.body = std::move(from.body());
  return out;
}

// Its body is that of `from`, which has to outlive it.
inline BodyView to_beast(const HttpResponse& from, bool keep, bool head) {
  BodyView out;
  out.version(11);
  out.result(static_cast<unsigned>(from.status));
  for (const auto& header : from.headers) out.set(header.name, header.value);
  out.body() = {from.text().data(), from.text().size()};
  out.keep_alive(keep);
  out.prepare_payload();
  if (head) out.body() = {};
  return out;
}

inline auto awaitable(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

inline HttpResponse out_of_memory() {
  return problem(503, "OutOfMemory", "this host is short of memory; ask again");
}

// A request that waits for its answer; what it says for want of memory is made beforehand.
struct Pending {
  asio::steady_timer wake;
  HttpResponse response;
  bool answered = false;
  bool dropped = false;

  void answer(HttpResponse with) {
    if (answered || dropped) return;
    answered = true;
    response = std::move(with);
    wake.cancel();
  }
};

// Held by what may still answer: when all of them are gone, nobody will.
struct Answerer {
  std::shared_ptr<Pending> pending;

  explicit Answerer(std::shared_ptr<Pending> waits) : pending(std::move(waits)) {}
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;
  ~Answerer() {
    if (pending->answered) return;
    pending->dropped = true;
    pending->wake.cancel();
  }
};

// Lives as long as any connection does: the server object may go first.
struct HttpShared {
  HttpServerOptions options;
  HttpServer::Handler handler;
  HttpServerCounters counters;
  std::set<PlainStream*> open;
  std::set<PlainStream*> idle;      // of these, those between two requests
  std::list<PlainStream*> reading;  // of these, those without a whole request; the oldest first
  std::function<void()> drained;
  bool stopped = false;
  // Kept back for when descriptors run out: one connection at a time is answered all the same.
  Fd spare;

  void keep_spare() {
    if (!spare.valid()) spare.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
};

template <class Stream>  // PlainStream or TlsStream
class HttpConnection {
 public:
  // The last ones are what the stream is made of: a socket, and for TLS a context.
  template <class... Arguments>
  HttpConnection(std::shared_ptr<HttpShared> shared, bool once, Arguments&&... arguments)
      : stream_(std::forward<Arguments>(arguments)...), shared_(std::move(shared)), once_(once) {
    shared_->open.insert(&socket());
    shared_->reading.push_back(&socket());
  }
  ~HttpConnection() {
    error_code ignored;
    socket().socket().close(ignored);
    shared_->keep_spare();
    shared_->open.erase(&socket());
    shared_->idle.erase(&socket());
    shared_->reading.remove(&socket());
    if (shared_->open.empty() && shared_->drained) std::exchange(shared_->drained, nullptr)();
  }

  asio::awaitable<void> run() {
    bool again = co_await greet();
    // Whoever has connected before a drain may still send its one request.
    for (bool first = true; again && (first || !shared_->stopped); first = false) {
      if (!first) shared_->idle.insert(&socket());
      again = co_await one(first ? shared_->options.head_timeout : shared_->options.idle_timeout);
    }
    co_await part();
  }

 private:
  PlainStream& socket() { return beast::get_lowest_layer(stream_); }

  // TLS first, where there is TLS; false when the connection is over.
  asio::awaitable<bool> greet() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      error_code error;
      socket().expires_after(shared_->options.head_timeout);
      co_await stream_.async_handshake(asio::ssl::stream_base::server, awaitable(error));
      if (error) ++shared_->counters.tls_failures;
      co_return !error;
    }
    co_return true;
  }

  asio::awaitable<void> part() {
    error_code ignored;
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      socket().expires_after(std::chrono::seconds(1));
      co_await stream_.async_shutdown(awaitable(ignored));
    }
    socket().socket().shutdown(Generic::socket::shutdown_send, ignored);
  }

  // One request and its answer; false when the connection is over.
  asio::awaitable<bool> one(std::chrono::milliseconds patience) {
    Parser parser;
    parser.header_limit(kMaxHeader);
    // Not "none": Beast 1.74 then takes any length for too large.
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    error_code error;
    socket().expires_after(patience);
    shared_->reading.remove(&socket());
    shared_->reading.push_back(&socket());
    co_await http::async_read_header(stream_, buffer_, parser, awaitable(error));
    const bool unused = shared_->idle.erase(&socket()) > 0 && !parser.got_some();
    // Whoever has nothing more to ask is not late.
    if (error == beast::error::timeout && unused) co_return false;
    if (error) {
      const bool again = co_await refuse(error);
      co_return again;
    }
    const std::string method(parser.get().method_string());
    const std::string target(parser.get().target());
    const size_t limit = body_limit(method, target);
    if (parser.content_length().value_or(0) > limit || (limit == 0 && parser.chunked())) {
      error = http::error::body_limit;
      const bool again = co_await refuse(error);
      co_return again;
    }
    if (!make_room(parser)) {
      error = make_error_code(boost::system::errc::not_enough_memory);
      const bool again = co_await refuse(error);
      co_return again;
    }
    parser.body_limit(limit);
    const bool whole = co_await read_body(parser, error);
    if (whole) shared_->reading.remove(&socket());
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

  // For the body that is announced, while there is still somebody to tell that there is none.
  static bool make_room(Parser& parser) try {
    parser.get().body().reserve(static_cast<size_t>(parser.content_length().value_or(0)));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }

  asio::awaitable<bool> read_body(Parser& parser, error_code& error) {
    socket().expires_after(shared_->options.body_timeout);
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
    socket().expires_never();
    const HttpRequest request = from_beast(std::move(from));
    const HttpResponse response = co_await ask_handler(request);
    const bool written = co_await write(response, keep, head);
    co_return written&& keep;
  }

  // The handler may answer at once or later; a timer that never fires is what waits for it.
  asio::awaitable<HttpResponse> ask_handler(const HttpRequest& request) {
    const auto pending = ask(request);
    error_code ignored;
    while (!pending->answered && !pending->dropped) {
      co_await pending->wake.async_wait(awaitable(ignored));
    }
    if (!pending->answered) ++shared_->counters.no_memory;
    co_return std::move(pending->response);
  }

  std::shared_ptr<Pending> ask(const HttpRequest& request) {
    auto pending = std::make_shared<Pending>(
        Pending{asio::steady_timer(stream_.get_executor(), asio::steady_timer::time_point::max()),
                out_of_memory()});
    try {
      auto answerer = std::make_shared<Answerer>(pending);
      shared_->handler(request, [answerer = std::move(answerer)](HttpResponse response) {
        answerer->pending->answer(std::move(response));
      });
    } catch (const std::bad_alloc&) {
      pending->dropped = !pending->answered;
    }
    return pending;
  }

  asio::awaitable<bool> write(const HttpResponse& from, bool keep, bool head = false) {
    const auto response = to_beast(from, keep && !shared_->stopped, head);
    http::response_serializer<BodyView::body_type> turns(response);
    turns.limit(kTurn);
    error_code error;
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + kDeadlinesInAll * shared_->options.write_timeout;
    while (!error && !turns.is_done()) {
      socket().expires_at(std::min(end, Clock::now() + shared_->options.write_timeout));
      co_await http::async_write_some(stream_, turns, awaitable(error));
    }
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
    if (error == boost::system::errc::not_enough_memory) {
      ++shared_->counters.no_memory;
      return out_of_memory();
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
    socket().socket().shutdown(Generic::socket::shutdown_send, error);
    char sink[4096];
    socket().expires_after(std::chrono::seconds(1));
    for (int rounds = 0; !error && rounds < 64; ++rounds) {
      co_await stream_.async_read_some(asio::buffer(sink), awaitable(error));
    }
  }

  Stream stream_;
  std::shared_ptr<HttpShared> shared_;
  const bool once_;  // it has the spare descriptor, and no second request
  beast::flat_buffer buffer_{kMaxHeader + 64 * 1024};
};

}  // namespace lb::net::http_detail
