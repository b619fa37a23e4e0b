#include "dataplane/proxy/readmission.hpp"

#include <cstring>

#include "common/net/sockaddr.hpp"
#include "dataplane/proxy/clock.hpp"

namespace lb::proxy {

void Readmission::begin(asio::io_context& io, const std::shared_ptr<BackendRecord>& backend,
                        Options options) {
  std::make_shared<Readmission>(io, backend, std::move(options))->wait();
}

Readmission::Readmission(asio::io_context& io, const std::shared_ptr<BackendRecord>& backend,
                         Options options)
    : backend_(backend),
      endpoint_(backend->endpoint),
      options_(std::move(options)),
      socket_(io),
      timer_(io) {}

void Readmission::wait() {
  timer_.expires_after(options_.pause);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->backend_.expired()) self->connect();
  });
}

void Readmission::connect() {
  over_ = false;
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
  if (std::exchange(over_, true)) return;
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
