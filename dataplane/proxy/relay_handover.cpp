#include <utility>

#include "dataplane/proxy/relay_engine.hpp"

namespace lb::proxy {

void RelayEngine::add_listener(net::Fd fd, std::shared_ptr<const ListenerConfig> config,
                               Sharing sharing) {
  std::vector<net::Fd> sockets;
  if (fd.valid()) sockets.push_back(std::move(fd));
  put_listener(sockets, std::move(config), sharing, Begins::kNow);
}

void RelayEngine::hold_listener(std::vector<net::Fd> sockets,
                                std::shared_ptr<const ListenerConfig> config, Sharing sharing) {
  put_listener(sockets, std::move(config), sharing, Begins::kWhenStarted);
}

RelayEngine::Listener RelayEngine::make_listener(std::shared_ptr<const ListenerConfig> config,
                                                 Sharing sharing) const {
  auto listener = std::make_shared<LiveListener>();
  listener->one_socket = sharing == Sharing::kOneSocket;
  listener->picker = config->make_picker(worker_index_);
  listener->counts = config->counts;
  listener->stats = config->counts->stats.at(worker_index_ % config->counts->stats.size());
  listener->config = std::move(config);
  return listener;
}

// All that wants memory comes first, what a pause and the end will want too.
void RelayEngine::put_listener(std::vector<net::Fd>& sockets,
                               std::shared_ptr<const ListenerConfig> config, Sharing sharing,
                               Begins begins) {
  const Endpoint address = config->address;
  const auto known = listeners_.find(address);
  const size_t most = by_pointer_.size() + closed_.size() + 1;
  paused_.reserve(most);
  closed_.reserve(most);
  held_.reserve(held_.size() + 1);
  if (known != listeners_.end()) {
    const Listener listener = known->second;
    listener->others.reserve(listener->others.size() + sockets.size());
    update_listener(std::move(config));
    return take_sockets(listener, sockets, begins);
  }
  if (sockets.empty() && sharing == Sharing::kOwnSocket) return;
  const Listener listener = make_listener(std::move(config), sharing);
  std::map<Endpoint, Listener> by_address{{address, listener}};
  by_pointer_.emplace(listener.get(), listener);
  listeners_.merge(by_address);
  take_sockets(listener, sockets, begins);
}

void RelayEngine::take_sockets(const Listener& listener, std::vector<net::Fd>& sockets,
                               Begins begins) {
  if (sockets.empty()) return;
  unwatch_listener(*listener);
  for (auto& socket : sockets) {
    if (listener->fd.valid()) {
      listener->others.push_back(std::move(socket));
    } else {
      listener->fd = std::move(socket);
    }
  }
  sockets.clear();
  if (begins == Begins::kWhenStarted) {
    held_.push_back(listener);
  } else {
    watch_listener(*listener);
  }
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
