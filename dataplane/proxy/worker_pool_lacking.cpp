#include <algorithm>
#include <new>
#include <utility>

#include "dataplane/proxy/pool_sockets.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {
namespace {

using Sockets = std::vector<net::Fd>;

void put(RelayEngine& engine, Sockets& sockets, std::shared_ptr<const ListenerConfig> config,
         Sharing sharing, Begins begins) {
  engine.put_listener(sockets, std::move(config), sharing, begins);
}

// Only who has a socket serves there.
void put(UdpRelay& relay, Sockets& sockets, std::shared_ptr<const ListenerConfig> config, Sharing,
         Begins begins) {
  relay.put_listener(sockets, std::move(config), begins);
}

}  // namespace

// Kept until the worker has it: should it lack memory, nothing that waits on the socket is lost.
void WorkerPool::give(OpenDoor& door, unsigned worker, net::Fd socket) const {
  door.given.resize(workers_.size());
  auto& given = door.given[worker];
  if (!given) given = std::make_shared<Sockets>();
  given->reserve(given->size() + 1);
  door.sockets.push_back({worker, socket.get()});
  given->push_back(std::move(socket));
}

void WorkerPool::tell(const ListenerId& id, const Served& served) {
  *served.lost = false;
  try {
    for (unsigned i = 0; i < workers_.size(); ++i) tell(id, served, i);
  } catch (const std::bad_alloc&) {
    note_lost(*served.lost);
    throw;
  }
}

// Any thread.
void WorkerPool::note_lost(std::atomic<bool>& lost) {
  lost = true;
  any_lost_ = true;
}

// Told twice, a worker does what is left to be done.
void WorkerPool::tell(const ListenerId& id, const Served& served, unsigned worker) {
  const OpenDoor& door = doors_.at(id.door());
  const Sharing sharing = door.grouped ? Sharing::kOwnSocket : Sharing::kOneSocket;
  auto given = worker < door.given.size() ? door.given[worker] : nullptr;
  post_to(*workers_[worker], id.protocol,
          [this, given = std::move(given), config = served.planned.config, sharing,
           begins = door.begins, lost = served.lost](auto& engine) {
            try {
              Sockets none;
              put(engine, given ? *given : none, config, sharing, begins);
            } catch (const std::bad_alloc&) {
              note_lost(*lost);
              throw;
            }
          });
}

// What every worker has taken needs nothing kept for it.
void WorkerPool::note_taken(const std::set<ListenerId>& touched) {
  for (const auto& id : touched) {
    const auto held = serving_.find(id);
    if (held == serving_.end() || !held->second.whole || *held->second.lost) continue;
    doors_.at(id.door()).given = {};
  }
}

// After a barrier, so that no worker has still to say so.
void WorkerPool::look_for_lacking() {
  if (!any_lost_.exchange(false)) return;
  try {
    for (const auto& [id, served] : serving_) {
      if (served.whole && *served.lost) lacking_.insert(id);
    }
  } catch (const std::bad_alloc&) {
    any_lost_ = true;
    throw;
  }
}

// What is not done now is done when the lacking are told again.
void WorkerPool::update_or_lose(const ListenerId& id, Served& served,
                                const PlannedListener& planned) {
  try {
    (void)update(id, served, planned);
  } catch (const std::bad_alloc&) {
    note_lost(*served.lost);
    ++memory_wants_;
  }
}

// Each second. A listener is not told of as whole before a barrier has shown that it is.
void WorkerPool::tell_lacking() {
  if (applying_ || workers_.empty()) return;
  const size_t before = lacking_.size();
  look_for_lacking();
  if (lacking_.size() != before) changed();
  if (lacking_.empty()) return;
  for (const auto& id : lacking_) {
    const auto held = serving_.find(id);
    const auto wanted = planner_.planned().find(id);
    if (held == serving_.end() || wanted == planner_.planned().end()) continue;
    if (*held->second.lost) update_or_lose(id, held->second, wanted->second);
  }
  barrier([this] {
    if (forget_told()) changed();
  });
}

// After a barrier too. True: some lack nothing any more.
bool WorkerPool::forget_told() {
  return std::erase_if(lacking_, [this](const ListenerId& id) {
           const auto held = serving_.find(id);
           return held == serving_.end() || !*held->second.lost;
         }) != 0;
}

std::vector<Failure> WorkerPool::failures() const {
  std::vector<Failure> out = failed_.all();
  for (const auto& id : lacking_) {
    const auto held = serving_.find(id);
    if (held == serving_.end()) continue;
    out.push_back(listener_failure(held->second.planned.key, id, out_of_memory()));
  }
  return out;
}

}  // namespace lb::proxy
