#include "dataplane/proxy/worker_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <mutex>

#include "dataplane/proxy/sockets.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr std::chrono::milliseconds kRetry{1'000};
constexpr std::chrono::milliseconds kDrainCheck{10};
constexpr std::chrono::milliseconds kSweep{1'000};
constexpr size_t kSweepBudget = 10'000;

uint64_t monotonic_ms() {
  using std::chrono::steady_clock;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch())
          .count());
}

bool retryable(const Failure& failure) {
  return failure.reason != "Unsupported" && failure.reason != "Conflict";
}

// To the engine that serves the protocol.
template <class Task>
void post_to(Worker& worker, Protocol protocol, Task task) {
  if (protocol == Protocol::kUdp) {
    worker.post_udp(std::move(task));
  } else {
    worker.post(std::move(task));
  }
}

// Listeners leave the last descriptors alone, as traffic does: see descriptor_line.hpp.
Result<net::Fd> open_socket(const ListenerId& id, const DataPathOptions& options) {
  auto opened = id.protocol == Protocol::kUdp ? open_udp_listener(id.at, options.announcing)
                                              : open_listener(id.at, options.announcing);
  if (!opened || opened.value().get() < options.descriptors.upkeep) return opened;
  return Error{"SocketError", "cannot listen on " + id.at.to_string() +
                                  ": the last descriptors are kept for administration"};
}

}  // namespace

WorkerPool::WorkerPool(DataPathOptions options)
    : options_(std::move(options)), planner_(std::max(1U, options_.workers)) {
  for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
    EngineHooks hooks;
    hooks.on_eject = [this](auto backend, const Policy& policy) {
      options_.post([this, backend = std::move(backend), policy] { ejected(backend, policy); });
    };
    hooks.on_close = options_.on_close;
    hooks.log_each = options_.log_each;
    hooks.descriptor_line = options_.descriptors.traffic;
    hooks.spare_sources = options_.spare_sources;
    hooks.pass_on = [this, i](const Endpoint& listener, int client) {
      return pass_on(i, listener, client);
    };
    workers_.push_back(std::make_unique<Worker>(i, std::move(hooks)));
  }
  sweep_later();
}

// All threads end before the first worker goes: each may look at the others' load.
void WorkerPool::stop() {
  alive_.reset();
  for (const auto& worker : workers_) worker->halt();
  workers_.clear();
}

void WorkerPool::sweep_later() {
  workers_.front()->after(kSweep, [this, alive = std::weak_ptr(alive_)] {
    options_.post([this, alive] {
      if (!alive.expired()) sweep();
    });
  });
}

// Gives the memory of sources back that are gone.
void WorkerPool::sweep() {
  const uint64_t now = monotonic_ms();
  for (const auto& [id, served] : serving_) {
    const ListenerCounts& counts = *served.planned.config->counts;
    if (counts.limits) counts.limits->sweep(now, kSweepBudget);
    if (counts.affinity) counts.affinity->sweep(now, kSweepBudget);
  }
  sweep_later();
}

void WorkerPool::apply(std::shared_ptr<const DesiredState> state,
                       std::function<void(std::vector<Failure>)> done) {
  if (draining_) return done({});
  auto failed = std::make_shared<std::vector<Failure>>();
  auto wanted = planner_.plan(*state, *failed);
  state_ = std::move(state);
  applying_ = true;
  close_unwanted(wanted);
  barrier([this, wanted = std::move(wanted), failed, done = std::move(done)] {
    if (draining_) return done({});
    open_all(wanted, *failed);
    barrier([this, failed, done] {
      if (draining_) return done({});
      failed_ = *failed;
      applying_ = false;
      retry_later();
      done(*failed);
    });
  });
}

// A listener that goes over to another service is closed too: its connections are the former one's.
void WorkerPool::close_unwanted(const PlannedListeners& wanted) {
  std::erase_if(serving_, [&](const auto& each) {
    const auto found = wanted.find(each.first);
    if (found != wanted.end() && found->second.key == each.second.planned.key) return false;
    close(each.first, each.second);
    return true;
  });
}

void WorkerPool::close(const ListenerId& id, const Served& served) {
  note_closing(id, served);
  for (const auto& worker : workers_) {
    post_to(*worker, id.protocol, [at = id.at](auto& engine) { engine.remove_listener(at); });
  }
}

void WorkerPool::note_closing(const ListenerId& id, const Served& served) {
  std::erase_if(closing_, [](const auto& each) { return !each.second->busy(); });
  closing_.emplace_back(id, served.planned.config->counts);
}

void WorkerPool::open_all(const PlannedListeners& wanted, std::vector<Failure>& failed) {
  unopened_.clear();
  for (const auto& [id, planned] : wanted) {
    if (const auto held = serving_.find(id); held != serving_.end()) {
      held->second.planned = planned;
      update(id, planned);
    } else if (const auto opened = open(id, planned); !opened) {
      failed.push_back(listener_failure(planned.key, id, opened.error()));
      unopened_.push_back(planned);
    }
  }
}

void WorkerPool::update(const ListenerId& id, const PlannedListener& planned) {
  for (const auto& worker : workers_) {
    post_to(*worker, id.protocol,
            [config = planned.config](auto& engine) { engine.update_listener(config); });
  }
}

// On a node whose addresses we make, whoever has the port is the node.
Status WorkerPool::explained(const Status& status) const {
  Error error = status.error();
  if (options_.announcing && error.code == "AddressInUse") error.code = "PortTakenOnNode";
  return error;
}

size_t WorkerPool::groups() const {
  return static_cast<size_t>(std::count_if(serving_.begin(), serving_.end(),
                                           [](const auto& each) { return each.second.grouped; }));
}

// Sessions of ours that drain hold a UDP port: it is not somebody else's.
Status WorkerPool::probe(const ListenerId& id) const {
  if (id.protocol == Protocol::kTcp) return probe_port(id.at, options_.announcing);
  const bool draining = std::any_of(closing_.begin(), closing_.end(), [&](const auto& each) {
    return each.first == id && each.second->connections > 0;
  });
  return draining ? Status(Done{}) : probe_udp_port(id.at, options_.announcing);
}

Status WorkerPool::open(const ListenerId& id, const PlannedListener& planned) {
  if (const auto free = probe(id); !free) return explained(free);
  const bool grouped = workers_.size() > 1 && groups() < options_.max_groups;
  const auto opened = grouped ? open_group(id, planned) : open_shared(id, planned);
  if (!opened) return explained(opened);
  serving_[id] = {planned, grouped};
  return Done{};
}

Status WorkerPool::open_group(const ListenerId& id, const PlannedListener& planned) {
  std::vector<std::shared_ptr<net::Fd>> sockets;
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto opened = open_socket(id, options_);
    if (!opened) return opened.error();
    sockets.push_back(std::make_shared<net::Fd>(std::move(opened).value()));
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    post_to(*workers_[i], id.protocol, [fd = sockets[i], config = planned.config](auto& engine) {
      engine.add_listener(std::move(*fd), config);
    });
  }
  return Done{};
}

// The other workers know a TCP listener without a socket of it: connections are handed to them.
Status WorkerPool::open_shared(const ListenerId& id, const PlannedListener& planned) {
  auto opened = open_socket(id, options_);
  if (!opened) return opened.error();
  const size_t owner = id.at.port % workers_.size();
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto fd = std::make_shared<net::Fd>(i == owner ? opened.value().release() : -1);
    if (id.protocol == Protocol::kTcp) {
      workers_[i]->post([fd, config = planned.config](RelayEngine& engine) {
        engine.add_listener(std::move(*fd), config, Sharing::kOneSocket);
      });
    } else if (i == owner) {
      workers_[i]->post_udp([fd, config = planned.config](UdpRelay& relay) {
        relay.add_listener(std::move(*fd), config);
      });
    }
  }
  return Done{};
}

// On the worker that accepted. False: it keeps the connection.
bool WorkerPool::pass_on(size_t from, const Endpoint& listener, int client) {
  size_t best = from;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->load() < workers_[best]->load()) best = i;
  }
  if (best == from) return false;
  if (!workers_[best]->hand_over(listener, client)) return false;
  passed_on_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Every worker moves what waits for it elsewhere, and one asks whether it is back. A UDP backend
// cannot be asked: it is tried again when its time is over.
void WorkerPool::ejected(const std::shared_ptr<BackendRecord>& backend, const Policy& policy) {
  if (workers_.empty()) return;
  const auto pause = std::chrono::seconds(std::max(1U, policy.ejection.seconds));
  const auto readmitted = [this, where = backend->endpoint] {
    ++readmissions_;
    options_.post([this, where] {
      if (options_.on_ejection) options_.on_ejection(where, {});
      changed();
    });
  };
  if (options_.on_ejection) options_.on_ejection(backend->endpoint, reason(backend->ejected));
  if (backend->protocol == Protocol::kUdp) {
    workers_.front()->after(pause, [weak = std::weak_ptr(backend), readmitted] {
      const auto alive = weak.lock();
      if (!alive) return;
      alive->readmit();
      readmitted();
    });
    return changed();
  }
  move_dials(backend);
  workers_.front()->readmit(backend,
                            {.pause = pause,
                             .timeout = std::chrono::milliseconds(policy.connect_timeout_ms),
                             .readmitted = readmitted});
  changed();
}

void WorkerPool::move_dials(const std::shared_ptr<BackendRecord>& backend) {
  for (const auto& worker : workers_) {
    worker->post([backend](RelayEngine& engine) { engine.move_dials(backend); });
  }
}

void WorkerPool::set_health(const BackendId& id, Health health, std::string reason) {
  const auto backend = planner_.find(id);
  if (!backend) return;
  backend->health_reason = std::move(reason);
  const Health before = backend->health.exchange(health, std::memory_order_relaxed);
  if (health == Health::kDown && before != health && id.protocol == Protocol::kTcp) {
    move_dials(backend);
  }
}

void WorkerPool::changed() {
  if (options_.on_change) options_.on_change();
}

// A port that was taken may be free by now.
void WorkerPool::retry_later() {
  const bool any = std::any_of(failed_.begin(), failed_.end(), retryable);
  if (!any || retrying_ || workers_.empty()) return;
  retrying_ = true;
  workers_.front()->after(kRetry, [this] {
    options_.post([this] {
      retrying_ = false;
      if (!applying_) retry();
    });
  });
}

void WorkerPool::retry() {
  std::vector<Failure> still;
  const auto wanted = planner_.plan(*state_, still);
  for (const auto& failure : failed_) {
    const ListenerId id{{failure.address, failure.port}, failure.protocol};
    const auto found = wanted.find(id);
    if (!retryable(failure) || found == wanted.end()) continue;
    if (const auto opened = open(id, found->second); !opened) {
      still.push_back(listener_failure(failure.key, id, opened.error()));
    }
  }
  const bool news = still != failed_;
  failed_ = std::move(still);
  retry_later();
  if (news) barrier([this] { changed(); });
}

void WorkerPool::set_drains(std::set<Drain> drains, std::function<void()> done) {
  planner_.set_drains(std::move(drains));
  if (!state_ || draining_) return done();
  std::vector<Failure> known;  // told already
  const auto wanted = planner_.plan(*state_, known);
  for (auto& [id, served] : serving_) {
    const auto found = wanted.find(id);
    if (found == wanted.end()) continue;
    served.planned = found->second;
    update(id, served.planned);
  }
  barrier([this, done = std::move(done)] {
    changed();
    done();
  });
}

void WorkerPool::flows(FlowFilter filter, std::function<void(std::vector<Flow>)> done) {
  struct Gathering {
    std::mutex mutex;
    std::vector<Flow> flows;
  };
  auto all = std::make_shared<Gathering>();
  for (const auto& worker : workers_) {
    worker->post([all, filter](RelayEngine& engine) {
      std::vector<Flow> mine;
      engine.list_flows(filter, mine);
      const std::lock_guard lock(all->mutex);
      all->flows.insert(all->flows.end(), std::make_move_iterator(mine.begin()),
                        std::make_move_iterator(mine.end()));
    });
  }
  barrier([all, filter, done = std::move(done)] {
    auto& flows = all->flows;
    std::sort(flows.begin(), flows.end(),
              [](const Flow& a, const Flow& b) { return a.age_ms < b.age_ms; });
    if (flows.size() > filter.limit) flows.resize(filter.limit);
    done(std::move(flows));
  });
}

void WorkerPool::kill(uint64_t id, std::function<void(bool)> done) {
  auto found = std::make_shared<std::atomic<bool>>(false);
  for (const auto& worker : workers_) {
    worker->post([id, found](RelayEngine& engine) {
      if (engine.kill(id)) *found = true;
    });
  }
  barrier([found, done = std::move(done)] { done(*found); });
}

void WorkerPool::avoid_sources(const std::set<IpAddress>& ours) { planner_.avoid_sources(ours); }

void WorkerPool::drain(unsigned grace_ms, std::function<void()> done) {
  draining_ = applying_ = true;  // nothing is opened again
  for (const auto& [id, served] : serving_) note_closing(id, served);
  serving_.clear();
  for (const auto& worker : workers_) {
    worker->post([grace_ms](RelayEngine& engine) { engine.drain(grace_ms); });
    worker->post_udp([grace_ms](UdpRelay& relay) { relay.drain(grace_ms); });
  }
  barrier([this, done = std::move(done)] { await_drained(done); });
}

// The engines end what is left when its time is up, so this ends too.
void WorkerPool::await_drained(const std::function<void()>& done) {
  const bool left = std::any_of(closing_.begin(), closing_.end(),
                                [](const auto& each) { return each.second->busy(); });
  if (!left) return done();
  workers_.front()->after(kDrainCheck,
                          [this, done] { options_.post([this, done] { await_drained(done); }); });
}

// Runs `next` on the control thread once every worker has done what was posted before.
void WorkerPool::barrier(std::function<void()> next) {
  auto left = std::make_shared<std::atomic<size_t>>(workers_.size());
  for (const auto& worker : workers_) {
    worker->post([this, left, next](RelayEngine&) {
      if (left->fetch_sub(1) == 1) options_.post(next);
    });
  }
}

std::unique_ptr<DataPath> make_data_path(DataPathOptions options) {
  return std::make_unique<WorkerPool>(std::move(options));
}

}  // namespace lb::proxy
