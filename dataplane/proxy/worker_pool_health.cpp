#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "dataplane/proxy/clock.hpp"
#include "dataplane/proxy/panic.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {
namespace {

// Whether what a check has found now brings the backend into use. The first word on one that was
// there from the beginning does not.
bool comes_back(BackendRecord& backend, Health before, Health now) {
  if (now == Health::kDown) return false;
  const bool joined = now == Health::kUp && std::exchange(backend.joined, false);
  return before == Health::kDown || (before == Health::kUnknown && joined);
}

BackendId id_of(const BackendRecord& backend) {
  return {backend.service, backend.port, backend.protocol, backend.endpoint};
}

}  // namespace

// Every worker moves what waits for it elsewhere, and one asks whether it is back. A UDP backend
// cannot be asked: it is tried again when its time is over.
void WorkerPool::ejected(const std::shared_ptr<BackendRecord>& backend, const Policy& policy) {
  if (workers_.empty()) return;
  const auto pause = std::chrono::seconds(std::max(1U, policy.ejection.seconds));
  // Held by the chain that readmits it: however that ends, it is seen to have ended.
  const auto asking = std::make_shared<bool>(true);
  asking_[backend.get()] = asking;
  const auto readmitted = [this, where = id_of(*backend), asking] {
    ++readmissions_;
    on_control([this, where] {
      if (options_.on_ejection) options_.on_ejection(where, {});
      dial_waiting();
      changed();
    });
  };
  if (options_.on_ejection) options_.on_ejection(id_of(*backend), reason(backend->ejected));
  if (backend->protocol == Protocol::kUdp) {
    chores_->after(pause, [weak = std::weak_ptr(backend), readmitted] {
      const auto alive = weak.lock();
      if (!alive) return;
      alive->readmit(monotonic_ms());
      readmitted();
    });
    return changed();
  }
  move_dials(backend);
  chores_->readmit(backend, {.service = backend->service,
                             .pause = pause,
                             .timeout = std::chrono::milliseconds(policy.connect_timeout_ms),
                             .readmitted = readmitted});
  changed();
}

void WorkerPool::tls_failed(const BackendRecord& backend, const char* reason) {
  if (options_.on_tls_failure) options_.on_tls_failure(id_of(backend), reason);
}

void WorkerPool::move_dials(const std::shared_ptr<BackendRecord>& backend) {
  for (const auto& worker : workers_) {
    worker->post([backend](RelayEngine& engine) { engine.move_dials(backend); });
  }
}

void WorkerPool::dial_waiting() {
  for (const auto& worker : workers_) {
    worker->post([](RelayEngine& engine) { engine.backends_changed(); });
  }
}

void WorkerPool::set_health(const BackendId& id, Health health, std::string reason) {
  const auto backend = planner_.find(id);
  if (!backend) return;
  backend->health_reason = std::move(reason);
  const Health before = backend->health.load(std::memory_order_relaxed);
  if (comes_back(*backend, before, health)) backend->came_back(monotonic_ms());
  backend->health.store(health, std::memory_order_relaxed);
  if (before == health) return;
  if (health == Health::kDown) ++backend->turned_down;
  if (health == Health::kUp && before == Health::kDown) ++backend->turned_up;
  look_for_panic_soon();
  if (health == Health::kDown && id.protocol == Protocol::kTcp) move_dials(backend);
  if (before == Health::kDown) dial_waiting();
}

// Once for many verdicts that come together.
void WorkerPool::look_for_panic_soon() {
  if (std::exchange(panic_look_due_, true)) return;
  try {
    on_control([this] {
      panic_look_due_ = false;
      or_counted([this] { look_for_panic(); });
    });
  } catch (const std::bad_alloc&) {
    panic_look_due_ = false;
    ++memory_wants_;
  }
}

// For a change that concerns no other listener.
void WorkerPool::look_for_panic_soon(std::set<ListenerId> among) {
  or_counted([this, &among] {
    on_control([this, among = std::move(among)] {
      or_counted([this, &among] { look_for_panic(among); });
    });
  });
}

void WorkerPool::look_for_panic(const std::set<ListenerId>& among) {
  bool news = false;
  for (const auto& id : among) {
    const auto held = serving_.find(id);
    const bool panic = held != serving_.end() && in_panic(*held->second.planned.config);
    if (panic == panicking_.contains(id)) continue;
    news = true;
    if (panic) panicking_.insert(id);
    if (!panic) panicking_.erase(id);
    if (held == serving_.end() || !options_.on_panic) continue;
    options_.on_panic(held->second.planned.key, id, panic);
  }
  if (news) changed();
}

void WorkerPool::look_for_panic() {
  std::set<ListenerId> now;
  for (const auto& [id, served] : serving_) {
    const bool panic = in_panic(*served.planned.config);
    if (panic) now.insert(id);
    if (panic != panicking_.contains(id) && options_.on_panic) {
      options_.on_panic(served.planned.key, id, panic);
    }
  }
  const bool news = now != panicking_;
  panicking_ = std::move(now);
  if (news) changed();
}

}  // namespace lb::proxy
