#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kListenAgainMs = 100;

bool accept_may_fail_again(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

// Level-triggered, unlike sessions: what one turn leaves in the queue comes up again. False: the
// kernel watches no more for us (epoll_ctl(2), ENOSPC).
bool RelayEngine::watch_socket(const Door& door, const net::Fd& socket) {
  const uint64_t tag = reinterpret_cast<uint64_t>(&door) | kListenerBit;
  if (watch(socket.get(), tag, EPOLLIN) || errno == EEXIST) return true;
  add(counters_.unwatched);
  return false;
}

// All of its sockets or none.
bool RelayEngine::watch_door(const Door& door) {
  if (!door.fd.valid()) return true;
  const bool all = watch_socket(door, door.fd) &&
                   std::all_of(door.others.begin(), door.others.end(),
                               [&](const net::Fd& other) { return watch_socket(door, other); });
  if (!all) unwatch_door(door);
  return all;
}

// Sockets that are to be the door's. As all that is wanted of the host for them, this comes before
// they are taken; for the caller it is a want of memory.
void RelayEngine::watch_new(const Door& door, const std::vector<net::Fd>& sockets) {
  for (const auto& socket : sockets) {
    if (watch_socket(door, socket)) continue;
    for (const auto& each : sockets) {
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, each.get(), nullptr);
    }
    throw std::bad_alloc();
  }
}

// As after a pause, which is what it has until it works.
void RelayEngine::listen_again(const DoorPtr& door) {
  if (!watch_door(*door)) paused_.emplace_back(now_ + kListenAgainMs, door);
}

void RelayEngine::listen_where_due() {
  for (size_t i = paused_.size(); i-- > 0;) {
    if (paused_[i].first > now_) continue;
    const DoorPtr door = std::move(paused_[i].second);
    paused_.erase(paused_.begin() + std::ptrdiff_t(i));
    listen_again(door);
  }
}

// Closing is not enough where another process has the socket too: it would stay in the set.
void RelayEngine::unwatch_door(const Door& door) {
  if (!door.fd.valid()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, door.fd.get(), nullptr);
  for (const auto& other : door.others) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, other.get(), nullptr);
  }
}

// True when the turn is used up and more may be waiting.
bool RelayEngine::accept_from(const DoorPtr& door) {
  if (!door->fd.valid()) return false;
  bool more = accept_from(door, door->fd.get());
  for (const auto& other : door->others) more |= accept_from(door, other.get());
  return more;
}

bool RelayEngine::accept_from(const DoorPtr& door, int socket) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (line_.lacking(now_)) {
      pause(door);
      return false;
    }
    const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      // What is handed on dials later: a turn's worth of descriptors is left for that.
      line_.note(door->one_socket ? fd + kAcceptsPerTurn : fd);
      accepted(door, fd);
    } else if (accept_may_fail_again(errno)) {
      pause(door);
      return false;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return false;
    }
  }
  return true;
}

// The last connections of a door that closes stay here: elsewhere it may be closed already.
void RelayEngine::accepted(const DoorPtr& door, int client) {
  const bool open = by_pointer_.contains(door.get());
  if (door->one_socket && open && hooks_.pass_on && hooks_.pass_on(door->address, client)) return;
  welcome(Listener(entrance(*door)), client);
}

void RelayEngine::adopt(const Endpoint& address, net::Fd client) {
  refresh_clock();
  const auto found = doors_.find(address);
  if (found != doors_.end()) {
    welcome(Listener(entrance(*found->second)), client.release());
  } else {
    adopt_late(address, std::move(client));
  }
  bury();
}

// It was accepted before its door closed, and has what time the others there have.
void RelayEngine::adopt_late(const Endpoint& address, net::Fd client) {
  Listener entered;  // that of the door that closed last; its lobby went last of all
  for (const auto& each : closed_) {
    if (each->config->address == address) entered = each;
  }
  if (!entered || entered->behind_lobby) {
    add(counters_.late_resets);
    return reset_on_close(client.get());
  }
  welcome(entered, client.release());
  uint32_t grace_s = entered->config->policy.delete_drain_s;
  if (entered->routes) {
    for (const auto& each : entered->routes->listeners) {
      grace_s = std::max(grace_s, each->config->policy.delete_drain_s);
    }
  }
  limit_sessions(*entered, uint64_t{grace_s} * 1000);
}

}  // namespace lb::proxy
