#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kAcceptPauseMs = 100;  // out of descriptors: waiting beats spinning

bool is_ours(int error) {
  return error == EADDRNOTAVAIL || error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

// The lowest free number is the next one: a high one tells that few are left. What is kept serves
// the admin API, probes, pipes and dials that are under way. A limit that is lifted later is not
// noticed; being out of descriptors always is.
int RelayEngine::last_descriptor_for_clients() {
  constexpr rlim_t kMostKept = 128;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT_MAX;
  const rlim_t kept = std::min(limit.rlim_cur / 8, kMostKept);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur - kept, INT_MAX));
}

// Level-triggered, unlike sessions: what one turn leaves in the queue comes up again.
void RelayEngine::watch_listener(const LiveListener& listener) {
  if (!listener.fd.valid()) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = reinterpret_cast<uint64_t>(&listener) | kListenerBit;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.fd.get(), &event);
  for (const auto& other : listener.others) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, other.get(), &event);
  }
}

// Closing is not enough where another process has the socket too: it would stay in the set.
void RelayEngine::unwatch_listener(const LiveListener& listener) {
  if (!listener.fd.valid()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd.get(), nullptr);
  for (const auto& other : listener.others) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, other.get(), nullptr);
  }
}

// True when the turn is used up and more may be waiting.
bool RelayEngine::accept_from(const Listener& listener) {
  if (!listener->fd.valid()) return false;
  bool more = accept_from(listener, listener->fd.get());
  for (const auto& other : listener->others) more |= accept_from(listener, other.get());
  return more;
}

bool RelayEngine::accept_from(const Listener& listener, int socket) {
  if (accept_again_ != 0 && short_of_descriptors()) {
    pause_accepting(listener);
    return false;
  }
  for (int i = 0; i < kAcceptsPerTurn && accept_again_ == 0; ++i) {
    const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (fd >= last_descriptor_) accept_again_ = now_ + kAcceptPauseMs;
      accepted(listener, fd);
    } else if (is_ours(errno)) {
      pause_accepting(listener);
      return false;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return false;
    }
  }
  return true;
}

void RelayEngine::pause_accepting(const Listener& listener) {
  add(counters_.accept_paused);
  unwatch_listener(*listener);
  paused_.emplace_back(now_ + kAcceptPauseMs, listener);
}

// Asks again only when the pause is over, since it costs two calls.
bool RelayEngine::short_of_descriptors() {
  if (now_ < accept_again_) return true;
  const net::Fd next(fcntl(epoll_.get(), F_DUPFD_CLOEXEC, 0));
  const bool short_of = !next.valid() || next.get() >= last_descriptor_;
  accept_again_ = short_of ? now_ + kAcceptPauseMs : 0;
  return short_of;
}

// The last connections of a listener that closes stay here: elsewhere it may be closed already.
void RelayEngine::accepted(const Listener& listener, int client) {
  const bool open = by_pointer_.contains(listener.get());
  if (listener->one_socket && open && hooks_.pass_on &&
      hooks_.pass_on(listener->config->address, client)) {
    return;
  }
  welcome(listener, client);
}

void RelayEngine::adopt(const Endpoint& address, net::Fd client) {
  refresh_clock();
  const auto found = listeners_.find(address);
  if (found != listeners_.end()) {
    welcome(Listener(found->second), client.release());
  } else {
    adopt_late(address, std::move(client));
  }
  bury();
}

// It was accepted before its listener closed, and has what time the others there have.
void RelayEngine::adopt_late(const Endpoint& address, net::Fd client) {
  const auto found = std::find_if(closed_.begin(), closed_.end(), [&](const Listener& each) {
    return each->config->address == address;
  });
  if (found == closed_.end()) return reset_on_close(client.get());
  const Listener listener = *found;
  welcome(listener, client.release());
  limit_sessions(*listener, uint64_t{listener->config->policy.delete_drain_s} * 1000);
}

}  // namespace lb::proxy
