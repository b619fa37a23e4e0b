#include "dataplane/proxy/worker_pool.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/proxy/clock.hpp"
#include "dataplane/proxy/pool_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr std::chrono::milliseconds kRetry{1'000};
constexpr std::chrono::milliseconds kDrainCheck{10};
constexpr std::chrono::milliseconds kSweep{1'000};
constexpr size_t kSweepBudget = 10'000;

uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

bool retryable(const Failure& failure) {
  return failure.reason != "Unsupported" && failure.reason != "Conflict";
}

}  // namespace

WorkerPool::WorkerPool(DataPathOptions options)
    : options_(std::move(options)), planner_(std::max(1U, options_.workers), options_.zone) {
  for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
    EngineHooks hooks;
    hooks.on_eject = [this](auto backend, const Policy& policy) {
      on_control([this, backend = std::move(backend), policy] { ejected(backend, policy); });
    };
    hooks.on_close = options_.on_close;
    hooks.log_each = options_.log_each;
    hooks.descriptor_line = options_.descriptors.traffic;
    hooks.spare_sources = options_.spare_sources;
    hooks.pass_on = [this, i](const Endpoint& listener, int client) {
      return pass_on(i, listener, client);
    };
    workers_.push_back(std::make_unique<Worker>(
        i, std::move(hooks), udp_share(descriptor_limit(), std::max(1U, options_.workers))));
  }
  sweep_later();
}

// All threads end before the first worker goes: each may look at the others' load.
void WorkerPool::stop() {
  alive_.reset();
  chores_.reset();
  for (const auto& worker : workers_) worker->halt();
  workers_.clear();
}

// Any thread: what is told too late is dropped.
void WorkerPool::on_control(std::function<void()> task) {
  options_.post([living = living_, task = std::move(task)] {
    if (!living.expired()) task();
  });
}

void WorkerPool::sweep_later() {
  chores_->after(kSweep, [this] { on_control([this] { sweep(); }); });
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
  auto touched = planner_.plan(state, monotonic_ms());
  touched.merge(std::exchange(unopened_, {}));
  state_ = std::move(state);
  applying_ = true;
  const bool any = close_unwanted(touched);
  auto open = [this, touched = std::move(touched), done = std::move(done)] {
    if (draining_) return done({});
    auto failed = open_all(touched);
    barrier([this, failed = std::move(failed), done] {
      if (draining_) return done({});
      failed_ = failed;
      applying_ = false;
      look_for_panic_soon();
      retry_later();
      done(failed);
    });
  };
  if (any) return barrier(std::move(open));
  open();
}

// A listener that goes over to another service is closed too: its connections are the former one's.
bool WorkerPool::close_unwanted(const std::set<ListenerId>& touched) {
  const auto& wanted = planner_.planned();
  bool any = false;
  for (const auto& id : touched) {
    const auto held = serving_.find(id);
    if (held == serving_.end()) continue;
    const auto found = wanted.find(id);
    if (found != wanted.end() && found->second.key == held->second.planned.key) continue;
    close(id, held->second);
    serving_.erase(held);
    any = true;
  }
  return any;
}

void WorkerPool::close(const ListenerId& id, const Served& served) {
  note_closing(id, served);
  if (served.grouped) --groups_;
  for (const auto& worker : workers_) {
    post_to(*worker, id.protocol, [at = id.at](auto& engine) { engine.remove_listener(at); });
  }
}

void WorkerPool::note_closing(const ListenerId& id, const Served& served) {
  std::erase_if(closing_, [](const auto& each) { return !each.second->busy(); });
  closing_.emplace_back(id, served.planned.config->counts);
}

std::vector<Failure> WorkerPool::open_all(const std::set<ListenerId>& touched) {
  std::vector<Failure> failed = planner_.failures();
  for (const auto& id : touched) {
    const auto found = planner_.planned().find(id);
    if (found == planner_.planned().end()) continue;
    const PlannedListener& planned = found->second;
    if (const auto held = serving_.find(id); held != serving_.end()) {
      if (const auto tuned = update(id, held->second, planned); !tuned) {
        failed.push_back(listener_failure(planned.key, id, tuned.error()));
      }
    } else if (const auto opened = open(id, planned); !opened) {
      failed.push_back(listener_failure(planned.key, id, opened.error()));
      unopened_.insert(id);
    }
  }
  return failed;
}

// A listener whose sockets cannot be tuned as is now asked goes on as it was in that.
Status WorkerPool::update(const ListenerId& id, Served& served, const PlannedListener& planned) {
  const SocketTuning before = served.planned.config->tuning;
  Status tuned = Done{};
  if (planned.config->tuning != before) {
    tuned = try_tuning(planned.config->tuning, id.at.address.family(), id.protocol);
  }
  served.planned = planned;
  if (!tuned) {
    auto config = std::make_shared<ListenerConfig>(*planned.config);
    config->tuning = before;
    served.planned.config = std::move(config);
  }
  for (const auto& worker : workers_) {
    post_to(*worker, id.protocol,
            [config = served.planned.config](auto& engine) { engine.update_listener(config); });
  }
  return tuned;
}

// On a node whose addresses we make, whoever has the port is the node.
Status WorkerPool::explained(const Status& status) const {
  Error error = status.error();
  if (options_.announcing && error.code == "AddressInUse") error.code = "PortTakenOnNode";
  return error;
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
  if (auto taken = taken_.extract(id)) {
    Served& served = serving_[id] = {planned};
    add_taken(id, served, std::move(taken.mapped()));
    if (served.grouped) ++groups_;
    return Done{};
  }
  // First: a socket that must be closed again has listened for a moment.
  if (const auto fit = try_tuning(planned.config->tuning, id.at.address.family(), id.protocol);
      !fit) {
    return fit;
  }
  if (const auto free = probe(id); !free) return explained(free);
  Served served{planned, workers_.size() > 1 && groups_ < options_.max_groups};
  const auto opened = served.grouped ? open_group(id, served) : open_shared(id, served);
  if (!opened) return explained(opened);
  if (served.grouped) ++groups_;
  serving_[id] = std::move(served);
  return Done{};
}

Status WorkerPool::open_group(const ListenerId& id, Served& served) {
  std::vector<std::shared_ptr<net::Fd>> sockets;
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto opened = open_socket(id, served.planned.config->tuning, options_);
    if (!opened) return opened.error();
    sockets.push_back(std::make_shared<net::Fd>(std::move(opened).value()));
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    served.sockets.push_back({static_cast<unsigned>(i), sockets[i]->get()});
    post_to(*workers_[i], id.protocol,
            [fd = sockets[i], config = served.planned.config](auto& engine) {
              engine.add_listener(std::move(*fd), config);
            });
  }
  return Done{};
}

// The other workers know a TCP listener without a socket of it: connections are handed to them.
Status WorkerPool::open_shared(const ListenerId& id, Served& served) {
  auto opened = open_socket(id, served.planned.config->tuning, options_);
  if (!opened) return opened.error();
  const size_t owner = id.at.port % workers_.size();
  const auto& config = served.planned.config;
  served.sockets.push_back({static_cast<unsigned>(owner), opened.value().get()});
  for (size_t i = 0; i < workers_.size(); ++i) {
    auto fd = std::make_shared<net::Fd>(i == owner ? opened.value().release() : -1);
    if (id.protocol == Protocol::kTcp) {
      workers_[i]->post([fd, config](RelayEngine& engine) {
        engine.add_listener(std::move(*fd), config, Sharing::kOneSocket);
      });
    } else if (i == owner) {
      workers_[i]->post_udp(
          [fd, config](UdpRelay& relay) { relay.add_listener(std::move(*fd), config); });
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

void WorkerPool::changed() {
  if (options_.on_change) options_.on_change();
}

// A port that was taken may be free by now.
void WorkerPool::retry_later() {
  const bool any = std::any_of(failed_.begin(), failed_.end(), retryable);
  if (!any || retrying_ || workers_.empty()) return;
  retrying_ = true;
  chores_->after(kRetry, [this] {
    on_control([this] {
      retrying_ = false;
      if (!applying_) retry();
    });
  });
}

void WorkerPool::retry() {
  std::vector<Failure> still = planner_.failures();
  const auto& wanted = planner_.planned();
  for (const auto& failure : failed_) {
    const ListenerId id{{failure.address, failure.port}, failure.protocol};
    const auto found = wanted.find(id);
    if (!retryable(failure) || found == wanted.end()) continue;
    const auto held = serving_.find(id);
    const auto opened =
        held == serving_.end() ? open(id, found->second) : update(id, held->second, found->second);
    if (!opened) {
      still.push_back(listener_failure(failure.key, id, opened.error()));
    } else {
      unopened_.erase(id);
    }
  }
  const bool news = still != failed_;
  failed_ = std::move(still);
  retry_later();
  look_for_panic_soon();
  if (news) barrier([this] { changed(); });
}

void WorkerPool::set_drains(std::set<Drain> drains, std::function<void()> done) {
  planner_.set_drains(std::move(drains), monotonic_ms());
  if (!state_ || draining_) return done();
  const auto& wanted = planner_.planned();
  for (auto& [id, served] : serving_) {
    const auto found = wanted.find(id);
    if (found != wanted.end()) (void)update(id, served, found->second);
  }
  look_for_panic_soon();
  barrier([this, done = std::move(done)] {
    changed();
    done();
  });
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
  chores_->after(kDrainCheck, [this, done] { on_control([this, done] { await_drained(done); }); });
}

// Runs `next` on the control thread once every worker has done what was posted before.
void WorkerPool::barrier(std::function<void()> next) {
  auto left = std::make_shared<std::atomic<size_t>>(workers_.size());
  for (const auto& worker : workers_) {
    worker->post([this, left, next](RelayEngine&) {
      if (left->fetch_sub(1) == 1) on_control(next);
    });
  }
}

std::unique_ptr<DataPath> make_data_path(DataPathOptions options) {
  return std::make_unique<WorkerPool>(std::move(options));
}

}  // namespace lb::proxy
