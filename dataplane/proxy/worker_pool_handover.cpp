#include <memory>
#include <utility>

#include "dataplane/proxy/pool_sockets.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {

std::vector<ListenerSocket> WorkerPool::sockets() const {
  std::vector<ListenerSocket> out;
  for (const auto& [id, served] : serving_) {
    for (const auto& socket : served.sockets) {
      out.push_back({id, socket.worker, !served.grouped, socket.fd});
    }
  }
  return out;
}

// `applying_` keeps failed listeners from being opened again.
void WorkerPool::release_sockets(std::function<void()> done) {
  applying_ = true;
  for (const auto& worker : workers_) {
    worker->post([](RelayEngine& engine) { engine.release_sockets(); });
    worker->post_udp([](UdpRelay& relay) { relay.release_sockets(); });
  }
  barrier(std::move(done));
}

// As in open_shared(), every worker knows a TCP listener whose connections one of them hands out.
void WorkerPool::add_taken(const ListenerId& id, Served& served, TakenListener taken) {
  served.grouped = !taken.shared;
  served.may_open = std::move(taken.may_open);
  const Sharing sharing = taken.shared ? Sharing::kOneSocket : Sharing::kOwnSocket;
  for (unsigned i = 0; i < workers_.size(); ++i) {
    auto mine = std::make_shared<std::vector<net::Fd>>();
    if (i < taken.owned.size()) *mine = std::move(taken.owned[i]);
    for (const auto& fd : *mine) served.sockets.push_back({i, fd.get()});
    if (id.protocol == Protocol::kUdp) {
      workers_[i]->post_udp([mine, config = served.planned.config](UdpRelay& relay) {
        relay.hold_listener(std::move(*mine), config);
      });
    } else if (taken.shared || !mine->empty()) {
      workers_[i]->post([mine, config = served.planned.config, sharing](RelayEngine& engine) {
        engine.hold_listener(std::move(*mine), config, sharing);
      });
    }
  }
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
    for (const unsigned worker : std::exchange(served.may_open, {})) {
      if (!add_socket(id, served, worker)) ++missing;
    }
  }
  return missing;
}

bool WorkerPool::add_socket(const ListenerId& id, Served& served, unsigned worker) {
  auto opened = open_socket(id, served.planned.config->tuning, options_);
  if (!opened) return false;
  served.sockets.push_back({worker, opened.value().get()});
  auto fd = std::make_shared<net::Fd>(std::move(opened).value());
  post_to(*workers_.at(worker), id.protocol, [fd, config = served.planned.config](auto& engine) {
    engine.add_listener(std::move(*fd), config);
  });
  return true;
}

}  // namespace lb::proxy
