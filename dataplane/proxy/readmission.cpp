#include "dataplane/proxy/readmission.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"
#include "dataplane/proxy/clock.hpp"

namespace lb::proxy {

void Readmission::begin(asio::io_context& io, Shared& shared,
                        const std::shared_ptr<BackendRecord>& backend, Options options) {
  std::make_shared<Readmission>(io, shared, backend, std::move(options))->wait();
}

Readmission::Readmission(asio::io_context& io, Shared& shared,
                         const std::shared_ptr<BackendRecord>& backend, Options options)
    : shared_(shared),
      backend_(backend),
      endpoint_(backend->endpoint),
      options_(std::move(options)),
      socket_(io),
      timer_(io) {}

// Without memory a try may end half-way.
Readmission::~Readmission() { leave_turn(); }

void Readmission::let_go(Shared& shared) {
  while (Readmission* const* next = shared.turns.next()) {
    const auto last = std::exchange((*next)->in_line_, nullptr);
    last->leave_turn();
  }
}

void Readmission::wait() {
  timer_.expires_after(options_.pause);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->backend_.expired()) self->line_up();
  });
}

void Readmission::put_off() {
  shared_.put_off.fetch_add(1, std::memory_order_relaxed);
  wait();
}

void Readmission::line_up() {
  turn_ = shared_.turns.join(options_.service, this);
  in_line_ = shared_from_this();
  serve(shared_);
  if (in_line_) shared_.put_off.fetch_add(1, std::memory_order_relaxed);
}

void Readmission::serve(Shared& shared) {
  while (shared.under_way < shared.most_at_once) {
    Readmission* const* next = shared.turns.next();
    if (next == nullptr) return;
    (*next)->take_turn();
  }
}

void Readmission::take_turn() {
  const auto self = std::exchange(in_line_, nullptr);
  shared_.turns.hold(turn_);
  ++shared_.under_way;
  if (!backend_.expired()) return connect();
  leave_turn();
}

void Readmission::leave_turn() {
  if (!turn_) return;
  if (turn_.holds()) --shared_.under_way;
  shared_.turns.leave(turn_);
}

// Asio's own sockets are inherited by the programs that we start.
bool Readmission::open() {
  const bool v4 = endpoint_.address.is_v4();
  net::Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid() || fd.get() >= shared_.descriptor_line) return false;
  boost::system::error_code failed;
  socket_.assign(v4 ? asio::ip::tcp::v4() : asio::ip::tcp::v6(), fd.get(), failed);
  if (failed) return false;
  fd.release();
  return true;
}

void Readmission::connect() {
  if (!open()) {
    leave_turn();
    return put_off();
  }
  const net::SockAddr raw = net::to_sockaddr(endpoint_);
  asio::ip::tcp::endpoint where;
  std::memcpy(where.data(), raw.get(), raw.length);
  timer_.expires_after(std::min(options_.timeout, kLongestTry));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->answered(false);
  });
  socket_.async_connect(where,
                        [self = shared_from_this()](const auto& error) { self->answered(!error); });
}

void Readmission::answered(bool good) {
  if (!turn_) return;
  leave_turn();
  boost::system::error_code ignored;
  timer_.cancel();
  // A reset leaves no TIME_WAIT behind, here or there.
  if (good) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  go_on(good);
  serve(shared_);
}

void Readmission::go_on(bool good) {
  const auto backend = backend_.lock();
  if (!backend) return;
  if (!good) return wait();
  backend->readmit(monotonic_ms());
  options_.readmitted();
}

}  // namespace lb::proxy
