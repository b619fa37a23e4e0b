#include "dataplane/health/probe.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <utility>

#include "common/model/proxy_local.hpp"
#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"

namespace lb::health {
namespace {

// An option that the kernel refuses makes a probe dearer or less polite, not wrong.
template <class Value>
void set_option(int fd, int level, int name, const Value& value) {
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

asio::ip::tcp protocol_of(const IpAddress& address) {
  return address.is_v4() ? asio::ip::tcp::v4() : asio::ip::tcp::v6();
}

// Only then is the last packet of the handshake needed by itself. Else it may go with what is said
// next, or (type tcp) be the reset, so that the target's program sees no connection: that
// saves work on both sides, and spares its log.
bool target_speaks_first(const HealthPolicy& policy) {
  return policy.type == HealthType::kSendExpect && policy.send.empty();
}

}  // namespace

Probe::Probe(const ProbeSetting& setting, const Check& check, Done done)
    : timers_(setting.timers),
      source_(setting.source),
      descriptor_line_(setting.descriptor_line),
      check_(check),
      done_(std::move(done)),
      socket_(setting.io) {}

void Probe::begin() {
  if (const int error = open(); error != 0) {
    asio::post(socket_.get_executor(),
               [self = shared_from_this(), error] { self->finish_errno(error); });
    return;
  }
  due_ = TimerQueue::Clock::now() + timeout();
  deadline_ = timers_.at(due_, [this] { on_deadline(); });
  when_ready(asio::socket_base::wait_write, [this] { on_connect(); });
}

int Probe::open() {
  const net::SockAddr target = net::to_sockaddr(check_.target);
  net::Fd fd(::socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return errno;
  if (fd.get() >= descriptor_line_) return EMFILE;
  set_option(fd.get(), SOL_SOCKET, SO_LINGER, linger{1, 0});
  if (!target_speaks_first(check_.policy)) set_option(fd.get(), IPPROTO_TCP, TCP_QUICKACK, 0);
  if (const int error = bind_source(fd.get()); error != 0) return error;
  if (::connect(fd.get(), target.get(), target.length) != 0 && errno != EINPROGRESS) return errno;
  boost::system::error_code error;
  socket_.assign(protocol_of(check_.target.address), fd.get(), error);
  if (error) return error.value();
  fd.release();
  return 0;
}

int Probe::bind_source(int fd) const {
  if (!source_ || source_->family() != check_.target.address.family()) return 0;
  // Without this, bind() would take a port that no other target could use (ip(7)).
  set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const net::SockAddr from = net::to_sockaddr(Endpoint{*source_, 0});
  return ::bind(fd, from.get(), from.length) == 0 ? 0 : errno;
}

void Probe::on_connect() {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
    error = errno;
  }
  if (error != 0) return finish_errno(error);
  connected_ = true;
  if (introduce()) connected();
}

// A connection that has just opened has room for these few bytes. False: the probe is over.
bool Probe::introduce() {
  const std::string_view header = proxy_local_header(check_.proxy);
  if (header.empty()) return true;
  const ssize_t sent =
      ::send(socket_.native_handle(), header.data(), header.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(header.size())) return true;
  finish_errno(sent < 0 ? errno : ENOBUFS);
  return false;
}

std::chrono::milliseconds Probe::timeout() const {
  return std::chrono::milliseconds(check_.policy.timeout_ms);
}

void Probe::on_deadline() {
  finish(result_of_deadline(TimerQueue::Clock::now() - due_, timeout(), connected_));
}

void Probe::finish(const ProbeResult& result) {
  if (over_) return;
  // Both may be what the probe itself holds, and the probe may die in the call.
  const Done done = std::move(done_);
  const ProbeResult copy = result;
  end();
  done(copy);
}

void Probe::cancel() {
  if (!over_) end();
}

void Probe::end() {
  over_ = true;
  timers_.cancel(deadline_);
  done_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace lb::health
