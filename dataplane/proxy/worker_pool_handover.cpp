#include <algorithm>
#include <memory>
#include <utility>

#include "dataplane/proxy/pool_sockets.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {

std::vector<ListenerSocket> WorkerPool::sockets() const {
  std::vector<ListenerSocket> out;
  for (const auto& [id, served] : serving_) {
    if (!served.whole) continue;  // want of memory has left it with sockets that may be closed
    for (const auto& socket : served.sockets) {
      out.push_back({id, socket.worker, !served.grouped, socket.fd});
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
    for (auto& [id, served] : serving_) served.given.clear();
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

void WorkerPool::add_taken(const ListenerId& id, Served& served, TakenListener taken) {
  served.grouped = !taken.shared;
  served.may_open = std::move(taken.may_open);
  served.begins = Begins::kWhenStarted;
  const size_t owners = std::min(workers_.size(), taken.owned.size());
  for (unsigned i = 0; i < owners; ++i) {
    for (auto& fd : taken.owned[i]) give(served, i, std::move(fd));
  }
  tell(id, served);
}

// A listener may have got another configuration since, or be gone: only what is served counts.
size_t WorkerPool::start_taken() {
  taken_.clear();
  for (const auto& worker : workers_) {
    worker->post([](RelayEngine& engine) { engine.start_held(); });
    worker->post_udp([](UdpRelay& relay) { relay.start_held(); });
  }
  size_t missing = 0;
  for (auto& [id, served] : serving_) {
    served.begins = Begins::kNow;
    for (const unsigned worker : std::exchange(served.may_open, {})) {
      if (!add_socket(id, served, worker)) ++missing;
    }
  }
  return missing;
}

bool WorkerPool::add_socket(const ListenerId& id, Served& served, unsigned worker) {
  auto opened = open_socket(id, served.planned.config->tuning, options_);
  if (!opened) return false;
  give(served, worker, std::move(opened).value());
  tell(id, served, worker);
  return true;
}

}  // namespace lb::proxy
