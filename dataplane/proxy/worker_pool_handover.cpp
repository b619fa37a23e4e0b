#include <algorithm>
#include <memory>
#include <utility>

#include "dataplane/proxy/pool_sockets.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {

std::vector<ListenerSocket> WorkerPool::sockets() const {
  std::vector<ListenerSocket> out;
  std::set<ListenerId> whole;  // want of memory has left the others with sockets that may be closed
  for (const auto& [id, served] : serving_) {
    if (served.whole) whole.insert(id.door());
  }
  for (const auto& [id, door] : doors_) {
    if (!whole.contains(id)) continue;
    for (const auto& socket : door.sockets) {
      out.push_back({id, socket.worker, !door.grouped, socket.fd});
    }
  }
  return out;
}

// `applying_` keeps failed listeners from being opened again.
void WorkerPool::release_sockets(std::function<void()> done) {
  applying_ = releasing_ = true;
  released_ = std::move(done);
  begin_release();
}

// Engines take it twice; where memory lacks, the pulse begins again.
void WorkerPool::begin_release() {
  or_counted([this] {
    for (auto& [id, door] : doors_) door.given.clear();
    for (const auto& worker : workers_) {
      worker->post([](RelayEngine& engine) { engine.release_sockets(); });
      worker->post_udp([](UdpRelay& relay) { relay.release_sockets(); });
    }
    barrier([this] {
      awaits_released_ = true;
      tell_released();
    });
    releasing_ = false;
  });
}

void WorkerPool::tell_released() {
  released_();
  awaits_released_ = false;
}

void WorkerPool::take_door(const ListenerId& id, const PlannedListener& planned,
                           TakenListener taken) {
  const auto [served, door] = begin_door(id, planned, !taken.shared);
  door.may_open = std::move(taken.may_open);
  door.begins = Begins::kWhenStarted;
  const size_t owners = std::min(workers_.size(), taken.owned.size());
  for (unsigned i = 0; i < owners; ++i) {
    for (auto& fd : taken.owned[i]) give(door, i, std::move(fd));
  }
  tell(id, served);
  served.whole = true;
}

// A listener may have got another configuration since, or be gone: only what is served counts.
size_t WorkerPool::start_taken() {
  taken_.clear();
  for (const auto& worker : workers_) {
    worker->post([](RelayEngine& engine) { engine.start_held(); });
    worker->post_udp([](UdpRelay& relay) { relay.start_held(); });
  }
  size_t missing = 0;
  for (auto& [id, door] : doors_) {
    door.begins = Begins::kNow;
    const auto& [listener, served] = *serving_.lower_bound(id);
    for (const unsigned worker : std::exchange(door.may_open, {})) {
      if (!add_socket(listener, served, door, worker)) ++missing;
    }
  }
  return missing;
}

bool WorkerPool::add_socket(const ListenerId& id, const Served& served, OpenDoor& door,
                            unsigned worker) {
  auto opened = open_socket(id, served.planned.config->tuning, options_);
  if (!opened) return false;
  give(door, worker, std::move(opened).value());
  tell(id, served, worker);
  return true;
}

}  // namespace lb::proxy
