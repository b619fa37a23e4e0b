#include <utility>

#include "dataplane/proxy/relay_engine.hpp"

namespace lb::proxy {

void RelayEngine::hold_listener(std::vector<net::Fd> sockets,
                                std::shared_ptr<const ListenerConfig> config, Sharing sharing) {
  const Endpoint address = config->address;
  add_listener(net::Fd(), std::move(config), sharing);
  if (sockets.empty()) return;
  const Listener listener = listeners_.at(address);
  listener->fd = std::move(sockets.front());
  sockets.erase(sockets.begin());
  listener->others = std::move(sockets);
  held_.push_back(listener);
}

void RelayEngine::start_held() {
  for (const auto& listener : std::exchange(held_, {})) watch_listener(*listener);
}

void RelayEngine::close_sockets(LiveListener& listener) {
  listener.fd.reset();
  listener.others.clear();
}

void RelayEngine::release_sockets() {
  for (const auto& [address, listener] : listeners_) {
    unwatch_listener(*listener);
    close_sockets(*listener);
  }
}

}  // namespace lb::proxy
