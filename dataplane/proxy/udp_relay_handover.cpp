#include <algorithm>
#include <utility>

#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {

// What the other process has seen dropped is counted there.
void UdpRelay::hold_listener(std::vector<net::Fd> sockets,
                             std::shared_ptr<const ListenerConfig> config) {
  if (sockets.empty()) return;
  now_ = hooks_.now_ms();
  Listener listener = take_listener(config->address);
  listener->fd = std::move(sockets.front());
  sockets.erase(sockets.begin());
  listener->others = std::move(sockets);
  listener->overflows = drops_of(*listener);
  listener->bursts = receives_trains(listener->fd.get()) ||
                     std::any_of(listener->others.begin(), listener->others.end(),
                                 [](const net::Fd& each) { return receives_trains(each.get()); });
  listener->held = true;
  start(std::move(listener), std::move(config));
}

void UdpRelay::start_held() {
  for (const auto& [address, listener] : listeners_) {
    if (std::exchange(listener->held, false)) watch(*listener);
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
