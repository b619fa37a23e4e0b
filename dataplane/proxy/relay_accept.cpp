#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kAcceptsPerTurn = 64;

bool accept_may_fail_again(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

// Level-triggered, unlike sessions: what one turn leaves in the queue comes up again.
void RelayEngine::watch_listener(const LiveListener& listener) {
  if (!listener.fd.valid()) return;
  watch(listener.fd.get(), reinterpret_cast<uint64_t>(&listener) | kListenerBit, EPOLLIN);
  for (const auto& other : listener.others) {
    watch(other.get(), reinterpret_cast<uint64_t>(&listener) | kListenerBit, EPOLLIN);
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
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (line_.lacking(now_)) {
      pause(listener);
      return false;
    }
    const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      // What is handed on dials later: a turn's worth of descriptors is left for that.
      line_.note(listener->one_socket ? fd + kAcceptsPerTurn : fd);
      accepted(listener, fd);
    } else if (accept_may_fail_again(errno)) {
      pause(listener);
      return false;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return false;
    }
  }
  return true;
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
