#include "dataplane/proxy/readmission.hpp"

#include <sys/socket.h>

#include <cstring>

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
Readmission::~Readmission() {
  if (trying_) --shared_.under_way;
}

void Readmission::wait() {
  timer_.expires_after(options_.pause);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->backend_.expired()) self->connect();
  });
}

void Readmission::put_off() {
  shared_.put_off.fetch_add(1, std::memory_order_relaxed);
  wait();
}

// Asio's own sockets are inherited by the programs that we start.
bool Readmission::open() {
  if (shared_.under_way >= shared_.most_at_once) return false;
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
  if (!open()) return put_off();
  ++shared_.under_way;
  trying_ = true;
  const net::SockAddr raw = net::to_sockaddr(endpoint_);
  asio::ip::tcp::endpoint where;
  std::memcpy(where.data(), raw.get(), raw.length);
  timer_.expires_after(options_.timeout);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->answered(false);
  });
  socket_.async_connect(where,
                        [self = shared_from_this()](const auto& error) { self->answered(!error); });
}

void Readmission::answered(bool good) {
  if (!std::exchange(trying_, false)) return;
  --shared_.under_way;
  boost::system::error_code ignored;
  timer_.cancel();
  // A reset leaves no TIME_WAIT behind, here or there.
  if (good) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  const auto backend = backend_.lock();
  if (!backend) return;
  if (!good) return wait();
  backend->readmit(monotonic_ms());
  options_.readmitted();
}

}  // namespace lb::proxy
