#include <algorithm>
#include <utility>

#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kStartAgainMs = 100;

}  // namespace

void UdpRelay::add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config) {
  std::vector<net::Fd> sockets;
  sockets.push_back(std::move(fd));
  put_listener(sockets, std::move(config), Begins::kNow);
}

void UdpRelay::hold_listener(std::vector<net::Fd> sockets,
                             std::shared_ptr<const ListenerConfig> config) {
  put_listener(sockets, std::move(config), Begins::kWhenStarted);
}

// All that wants memory comes first, what the end will want too.
void UdpRelay::put_listener(std::vector<net::Fd>& sockets,
                            std::shared_ptr<const ListenerConfig> config, Begins begins) {
  if (sockets.empty()) return update_listener(std::move(config));
  now_ = hooks_.now_ms();
  closed_.reserve(listeners_.size() + closed_.size() + 1);
  std::map<Endpoint, Listener> place;
  Listener& placed = place[config->address];
  Listener* const known = known_listener(config->address);
  if (known == nullptr) placed = std::make_unique<UdpListener>();
  UdpListener& listener = known != nullptr ? **known : *placed;
  if (known != nullptr) empty(listener);
  apply(listener, std::move(config));
  if (begins == Begins::kNow) watch_new(listener, sockets);
  if (known != nullptr) unwatch(listener);
  if (!listeners_.contains(listener.config->address)) {
    if (known != nullptr) placed = std::move(*known);
    std::erase(closed_, nullptr);
    listeners_.merge(place);
  }
  take_sockets(listener, sockets, begins);
  settle();
}

// Null: none serves or drains there.
UdpRelay::Listener* UdpRelay::known_listener(const Endpoint& address) {
  const auto serving = listeners_.find(address);
  if (serving != listeners_.end()) return &serving->second;
  const auto draining = std::find_if(closed_.begin(), closed_.end(), [&](const Listener& each) {
    return each->config->address == address;
  });
  return draining == closed_.end() ? nullptr : &*draining;
}

// What another process has seen dropped is counted there.
void UdpRelay::take_sockets(UdpListener& listener, std::vector<net::Fd>& sockets, Begins begins) {
  listener.closing = false;
  listener.drain_ends = 0;
  listener.held = begins == Begins::kWhenStarted;
  listener.fd = std::move(sockets.front());
  sockets.erase(sockets.begin());
  listener.others = std::move(sockets);
  sockets.clear();
  listener.overflows = listener.held ? drops_of(listener) : 0;
  listener.bursts = listener.held &&
                    (receives_trains(listener.fd.get()) ||
                     std::any_of(listener.others.begin(), listener.others.end(),
                                 [](const net::Fd& each) { return receives_trains(each.get()); }));
}

void UdpRelay::start_held() {
  now_ = hooks_.now_ms();
  starts_again_at_ = UINT64_MAX;
  for (const auto& [address, listener] : listeners_) {
    if (!listener->held) continue;
    listener->held = !watch(*listener);
    if (listener->held) starts_again_at_ = now_ + kStartAgainMs;
  }
}

void UdpRelay::release_sockets() {
  for (const auto& [address, listener] : listeners_) {
    unwatch(*listener);
    listener->others.clear();
    listener->released = true;
  }
}

}  // namespace lb::proxy
