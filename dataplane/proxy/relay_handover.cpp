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

Listener RelayEngine::make_listener(std::shared_ptr<const ListenerConfig> config) const {
  auto listener = std::make_shared<LiveListener>();
  listener->picker = config->make_picker(worker_index_);
  listener->counts = config->counts;
  listener->stats = config->counts->stats.at(worker_index_ % config->counts->stats.size());
  listener->config = std::move(config);
  return listener;
}

Listener RelayEngine::listener_at(const Door& door, const Match& match) const {
  const auto found = door.listeners.find(match);
  return found == door.listeners.end() ? nullptr : found->second;
}

// All that wants memory comes first, what a pause and the end will want too.
void RelayEngine::put_listener(std::vector<net::Fd>& sockets,
                               std::shared_ptr<const ListenerConfig> config, Sharing sharing,
                               Begins begins) {
  const auto known = doors_.find(config->address);
  paused_.reserve(paused_.size() + by_pointer_.size() + 1);
  held_.reserve(held_.size() + 1);
  closed_.reserve(closed_.size() + open_ + 2);
  if (known == doors_.end()) return open_door(sockets, std::move(config), sharing, begins);
  const DoorPtr door = known->second;
  door->others.reserve(door->others.size() + sockets.size());
  refresh_clock();
  put_at(*door, std::move(config));
  tune(*door);
  if (begins == Begins::kNow) watch_new(*door, sockets);
  take_sockets(door, sockets, begins);
  bury();
}

// Who counts where another one does is that one, by another match; who has the match of another one
// takes its place, at once: nobody who comes meanwhile is told that there is no one.
void RelayEngine::put_at(Door& door, std::shared_ptr<const ListenerConfig> config) {
  const Listener known = listener_at(door, config->match);
  const auto same =
      std::find_if(door.listeners.begin(), door.listeners.end(),
                   [&](const auto& each) { return each.second->counts == config->counts; });
  if (same == door.listeners.end()) {
    const uint64_t grace_ms =
        known ? uint64_t{known->config->policy.delete_drain_s} * 1000 : uint64_t{0};
    join_door(door, std::move(config));
    if (known) retire(known, grace_ms);
    return;
  }
  if (same->second != known) rename(door, same->first, *config);
  update_listener(std::move(config));
  if (!needs_lobby(door) && door.lobby) retire_lobby(door, UINT64_MAX);
}

// Where another one has that match, it goes.
void RelayEngine::rename(Door& door, const Match& from, const ListenerConfig& to) {
  Match match = to.match;
  Listener lobby = !door.lobby && to.lobby ? make_lobby(door, to) : nullptr;
  const Listener known = listener_at(door, match);
  auto node = door.listeners.extract(from);
  node.key() = std::move(match);
  if (known) door.listeners.erase(node.key());
  door.listeners.insert(std::move(node));
  set_lobby(door, std::move(lobby));
  if (known) retire(known, uint64_t{known->config->policy.delete_drain_s} * 1000);
}

void RelayEngine::open_door(std::vector<net::Fd>& sockets,
                            std::shared_ptr<const ListenerConfig> config, Sharing sharing,
                            Begins begins) {
  if (sockets.empty() && sharing == Sharing::kOwnSocket) return;
  const auto door = std::make_shared<Door>();
  door->address = config->address;
  door->one_socket = sharing == Sharing::kOneSocket;
  door->tuning = config->tuning;
  door->others.reserve(sockets.size());
  join_door(*door, std::move(config));
  try {
    std::map<Endpoint, DoorPtr> by_address{{door->address, door}};
    by_pointer_.emplace(door.get(), door);
    if (begins == Begins::kNow) watch_new(*door, sockets);
    doors_.merge(by_address);
  } catch (const std::bad_alloc&) {
    by_pointer_.erase(door.get());
    open_ -= door->listeners.size() + (door->lobby ? 1 : 0);
    throw;
  }
  take_sockets(door, sockets, begins);
}

// Beside those that are there. Where it fails for want of memory, nothing has changed.
void RelayEngine::join_door(Door& door, std::shared_ptr<const ListenerConfig> config) {
  const ListenerConfig& wanted = *config;
  std::map<Match, Listener> added;
  added.emplace(wanted.match, make_listener(std::move(config)));
  Listener lobby = !door.lobby && wanted.lobby ? make_lobby(door, wanted) : nullptr;
  door.listeners.erase(wanted.match);
  door.listeners.merge(added);
  ++open_;
  set_lobby(door, std::move(lobby));
}

// `lobby` null: it has one, or needs none.
void RelayEngine::set_lobby(Door& door, Listener lobby) {
  if (door.lobby) door.lobby->routes = nullptr;
  if (!lobby) return;
  door.lobby = std::move(lobby);
  ++open_;
}

bool RelayEngine::needs_lobby(const Door& door) {
  return door.listeners.size() > 1 || !door.listeners.begin()->first.empty();
}

// Who comes is nobody's yet: no policy holds but ours.
Listener RelayEngine::make_lobby(const Door& door, const ListenerConfig& first) const {
  auto config = std::make_shared<ListenerConfig>();
  config->address = first.address;
  config->counts = first.lobby;
  Listener lobby = make_listener(std::move(config));
  lobby->is_lobby = true;
  lobby->door = &door;
  return lobby;
}

void RelayEngine::take_sockets(const DoorPtr& door, std::vector<net::Fd>& sockets, Begins begins) {
  if (sockets.empty()) return;
  if (begins == Begins::kWhenStarted) unwatch_door(*door);
  for (auto& socket : sockets) {
    if (door->fd.valid()) {
      door->others.push_back(std::move(socket));
    } else {
      door->fd = std::move(socket);
    }
  }
  sockets.clear();
  if (begins == Begins::kWhenStarted) held_.push_back(door);
}

void RelayEngine::start_held() {
  refresh_clock();
  for (const auto& door : std::exchange(held_, {})) listen_again(door);
}

void RelayEngine::close_sockets(Door& door) {
  door.fd.reset();
  door.others.clear();
}

void RelayEngine::release_sockets() {
  for (const auto& [address, door] : doors_) {
    unwatch_door(*door);
    close_sockets(*door);
  }
}

}  // namespace lb::proxy
