#include "dataplane/proxy/worker_pool.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "dataplane/balance/hash.hpp"
#include "dataplane/proxy/clock.hpp"
#include "dataplane/proxy/pool_sockets.hpp"

namespace lb::proxy {
namespace {

constexpr std::chrono::milliseconds kPulse{1'000};

uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace

WorkerPool::WorkerPool(DataPathOptions options)
    : options_(std::move(options)),
      spare_sources_(std::make_shared<SpareSources>(options_.spare_sources)),
      planner_(std::max(1U, options_.workers), options_.zone, options_.certificates) {
  for (unsigned i = 0; i < std::max(1U, options_.workers); ++i) {
    EngineHooks hooks;
    hooks.on_eject = [this](auto backend, const Policy& policy) {
      on_control([this, backend = std::move(backend), policy] {
        or_counted([&] { ejected(backend, policy); });
      });
    };
    hooks.on_tls_failure = [this](auto backend, const char* reason) {
      on_control([this, backend = std::move(backend), reason] {
        or_counted([&] { tls_failed(*backend, reason); });
      });
    };
    hooks.on_close = options_.on_close;
    hooks.log_each = options_.log_each;
    hooks.descriptor_line = options_.descriptors.traffic;
    hooks.spare_sources = spare_sources_;
    hooks.pass_on = [this, i](const Endpoint& listener, int client) {
      return pass_on(i, listener, client);
    };
    workers_.push_back(std::make_unique<Worker>(
        i, std::move(hooks), udp_share(descriptor_limit(), std::max(1U, options_.workers))));
  }
  chores_ = std::make_unique<Chores>(options_.descriptors.upkeep,
                                     Chores::Beat{kPulse, [this] { ask_for_pulse(); }});
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

void WorkerPool::apply(std::shared_ptr<const DesiredState> state,
                       std::function<void(std::vector<Failure>)> done) {
  if (draining_) return done({});
  applying_ = true;
  or_in_doubt([&] {
    auto touched = plan(std::move(state));
    const bool any = close_unwanted(touched);
    auto open = [this, touched = std::move(touched), done = std::move(done)] {
      if (draining_) return done({});
      or_in_doubt([&] { finish_apply(touched, done); });
    };
    if (any) return barrier(std::move(open));
    open();
  });
}

std::set<ListenerId> WorkerPool::plan(std::shared_ptr<const DesiredState> state) {
  if (in_doubt_) {
    planner_.distrust();
    for (const auto& [id, served] : serving_) unopened_.insert(id);
  }
  auto touched = planner_.plan(state, monotonic_ms());
  touched.merge(std::exchange(unopened_, {}));
  state_ = std::move(state);
  in_doubt_ = false;
  return touched;
}

void WorkerPool::finish_apply(const std::set<ListenerId>& touched,
                              const std::function<void(std::vector<Failure>)>& done) {
  barrier([this, failed = open_all(touched), touched, done] {
    if (draining_) return done({});
    or_in_doubt([&] {
      failed_.set(failed);
      look_for_lacking();
      note_taken(touched);
      (void)forget_told();
      applying_ = false;
      look_for_panic_soon(touched);
      done(failures());
    });
  });
}

// A listener that goes over to another service is closed too: its connections are the former one's.
// Where others keep its door open there is no hurry: it leaves once those that come are there.
bool WorkerPool::close_unwanted(const std::set<ListenerId>& touched) {
  forget_closed();
  Heirs heirs(planner_.planned());
  std::map<ListenerId, bool> stays;  // by door; that one stays never changes meanwhile
  bool any = false;
  for (const auto& id : touched) {
    const auto held = serving_.find(id);
    if (held == serving_.end()) continue;
    if (is_wanted(id, held->second) && held->second.whole) continue;
    const auto [door, is_new] = stays.try_emplace(id.door());
    if (is_new) door->second = door_stays(id.door(), heirs);
    if (door->second) continue;
    // Should it be told to some workers only, it is closed again.
    held->second.whole = false;
    close(id, held->second);
    forget(held);
    any = true;
  }
  return any;
}

bool WorkerPool::is_wanted(const ListenerId& id, const Served& served) const {
  const auto found = planner_.planned().find(id);
  return found != planner_.planned().end() && found->second.key == served.planned.key;
}

bool WorkerPool::door_stays(const ListenerId& door, Heirs& heirs) const {
  for (auto each = serving_.lower_bound(door); each != serving_.end() && each->first.door() == door;
       ++each) {
    const auto& [id, served] = *each;
    const bool goes_on = is_wanted(id, served) || heirs.of(id, *served.planned.config) != nullptr;
    if (served.whole && goes_on) return true;
  }
  return false;
}

// What was left to be closed after the others have come.
void WorkerPool::close_left(const std::set<ListenerId>& touched) {
  Heirs heirs(planner_.planned());
  for (const auto& id : touched) {
    const auto held = serving_.find(id);
    if (held == serving_.end() || is_wanted(id, held->second)) continue;
    const ListenerId* now = heirs.of(id, *held->second.planned.config);
    if (now == nullptr || !serving_.contains(*now)) close(id, held->second);
    forget(held);
  }
}

void WorkerPool::close(const ListenerId& id, const Served& served) {
  note_closing(id, served);
  for (const auto& worker : workers_) {
    post_to(*worker, id.protocol, [id](auto& engine) { remove(engine, id); });
  }
}

void WorkerPool::forget(std::map<ListenerId, Served>::iterator served) {
  const ListenerId door = served->first.door();
  serving_.erase(served);
  if (!serves_at(door)) forget_door(door);
}

bool WorkerPool::serves_at(const ListenerId& door) const {
  const auto first = serving_.lower_bound(door);
  return first != serving_.end() && first->first.door() == door;
}

void WorkerPool::forget_door(const ListenerId& door) {
  const auto held = doors_.find(door);
  if (held == doors_.end()) return;
  if (held->second.grouped) --groups_;
  doors_.erase(held);
}

void WorkerPool::note_closing(const ListenerId& id, const Served& served) {
  const auto& config = *served.planned.config;
  closing_.emplace(id.door(), config.counts);
  if (config.lobby) closing_.emplace(id.door(), config.lobby);
}

void WorkerPool::forget_closed() {
  std::erase_if(closing_, [](const auto& each) { return !each.second->busy(); });
}

std::vector<Failure> WorkerPool::open_all(const std::set<ListenerId>& touched) {
  std::vector<Failure> failed = planner_.failures();
  for (const auto& id : touched) {
    const auto found = planner_.planned().find(id);
    if (found == planner_.planned().end()) continue;
    const PlannedListener& planned = found->second;
    if (const auto held = serving_.find(id); held != serving_.end()) {
      if (!is_wanted(id, held->second)) note_closing(id, held->second);
      if (const auto tuned = update(id, held->second, planned); !tuned) {
        failed.push_back(listener_failure(planned.key, id, tuned.error()));
      }
    } else if (const auto opened = open(id, planned); !opened) {
      failed.push_back(listener_failure(planned.key, id, opened.error()));
      unopened_.insert(id);
    }
  }
  close_left(touched);
  return failed;
}

// A listener whose sockets cannot be tuned as is now asked goes on as it was in that.
Status WorkerPool::update(const ListenerId& id, Served& served, const PlannedListener& planned) {
  const SocketTuning before = served.planned.config->tuning;
  Status tuned = Done{};
  if (planned.config->tuning != before) {
    tuned = try_tuning(planned.config->tuning, id.at.address.family(), id.protocol);
  }
  planned.config->counts->drains += left_service(*served.planned.config, *planned.config);
  served.planned = planned;
  if (!tuned) {
    auto config = std::make_shared<ListenerConfig>(*planned.config);
    config->tuning = before;
    served.planned.config = std::move(config);
  }
  tell(id, served);
  served.whole = true;
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
  bool draining = false;
  for (auto each = closing_.lower_bound({id, nullptr}); each != closing_.end() && each->first == id;
       ++each) {
    draining = draining || each->second->connections > 0;
  }
  return draining ? Status(Done{}) : probe_udp_port(id.at, options_.announcing);
}

Status WorkerPool::open(const ListenerId& id, const PlannedListener& planned) {
  if (auto taken = taken_.extract(id.door())) {
    take_door(id, planned, std::move(taken.mapped()));
    return Done{};
  }
  // First: a socket that must be closed again has listened for a moment.
  if (const auto fit = try_tuning(planned.config->tuning, id.at.address.family(), id.protocol);
      !fit) {
    return fit;
  }
  if (!doors_.contains(id.door())) return open_door(id, planned);
  Served& served = begin_serving(id, {planned});
  tell(id, served);
  served.whole = true;
  return Done{};
}

Status WorkerPool::open_door(const ListenerId& id, const PlannedListener& planned) {
  if (const auto free = probe(id); !free) return explained(free);
  const bool grouped = workers_.size() > 1 && groups_ < options_.max_groups;
  const auto [served, door] = begin_door(id, planned, grouped);
  const auto opened = door.grouped ? open_group(id, served, door) : open_shared(id, served, door);
  served.whole = opened.ok();
  if (opened) return Done{};
  forget(serving_.find(id));
  return explained(opened);
}

// Before a worker is told of it: what is not whole then is closed by whoever comes next.
WorkerPool::Served& WorkerPool::begin_serving(const ListenerId& id, Served served) {
  served.whole = false;
  return serving_.insert_or_assign(id, std::move(served)).first->second;
}

// Whoever is served has a door, and a door somebody who is served there.
std::pair<WorkerPool::Served&, WorkerPool::OpenDoor&> WorkerPool::begin_door(
    const ListenerId& id, const PlannedListener& planned, bool grouped) {
  OpenDoor& door = doors_[id.door()];
  door.grouped = grouped;
  if (grouped) ++groups_;
  try {
    return {begin_serving(id, {planned}), door};
  } catch (const std::bad_alloc&) {
    forget_door(id.door());
    throw;
  }
}

Status WorkerPool::open_group(const ListenerId& id, const Served& served, OpenDoor& door) {
  for (unsigned i = 0; i < workers_.size(); ++i) {
    auto opened = open_socket(id, served.planned.config->tuning, options_);
    if (!opened) return opened.error();
    give(door, i, std::move(opened).value());
  }
  tell(id, served);
  return Done{};
}

// The other workers know a TCP door without a socket of it: connections are handed to them. All of
// a UDP door is its owner's, so owners differ between the addresses of one port, too.
Status WorkerPool::open_shared(const ListenerId& id, const Served& served, OpenDoor& door) {
  auto opened = open_socket(id, served.planned.config->tuning, options_);
  if (!opened) return opened.error();
  const auto owner = unsigned(balance::hash_of(id.at) % workers_.size());
  give(door, owner, std::move(opened).value());
  tell(id, served);
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

void WorkerPool::set_drains(std::set<Drain> drains, std::function<void()> done) {
  try {
    planner_.set_drains(std::move(drains), monotonic_ms());
  } catch (const std::bad_alloc&) {
    in_doubt_ = true;  // what is planned is so in part
    throw;
  }
  if (!state_ || draining_) return done();
  const auto& wanted = planner_.planned();
  for (auto& [id, served] : serving_) {
    const auto found = wanted.find(id);
    if (found != wanted.end()) update_or_lose(id, served, found->second);
  }
  look_for_panic_soon();
  barrier([this, done = std::move(done)] {
    or_counted([this] { look_for_lacking(); });
    changed();
    done();
  });
}

void WorkerPool::avoid_sources(const std::set<IpAddress>& ours) {
  spare_sources_->avoid(ours, options_.on_source);
  planner_.avoid_sources(ours);
}

std::unique_ptr<DataPath> make_data_path(DataPathOptions options) {
  return std::make_unique<WorkerPool>(std::move(options));
}

}  // namespace lb::proxy
