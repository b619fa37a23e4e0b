#include <algorithm>
#include <new>

#include "dataplane/proxy/clock.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {
namespace {

constexpr std::chrono::milliseconds kDrainCheck{10};
constexpr size_t kSweepBudget = 10'000;

bool retryable(const Failure& failure) {
  return failure.reason != "Unsupported" && failure.reason != "Conflict";
}

}  // namespace

// On the thread of the chores. When there is no memory for it, the next beat asks again.
void WorkerPool::ask_for_pulse() {
  if (pulse_due_.exchange(true)) return;
  try {
    on_control([this] {
      pulse_due_ = false;
      pulse();
    });
  } catch (const std::bad_alloc&) {
    pulse_due_ = false;
    throw;
  }
}

// Each second: all that goes on until it is done, and what want of memory has interrupted.
void WorkerPool::pulse() {
  or_counted([this] { sweep(); });
  or_counted([this] { retry(); });
  or_counted([this] { tell_lacking(); });
  if (releasing_) begin_release();
  if (awaits_released_) or_counted([this] { tell_released(); });
  if (drain_grace_ms_) begin_drain();
  post_barriers();
  pass_barriers();
  if (awaits_drained_ && looking_.expired()) or_counted([this] { await_drained(); });
  or_counted([this] { look_for_lost(); });
  if (options_.on_pulse) or_counted(options_.on_pulse);
}

// Gives the memory of sources and listeners back that are gone.
void WorkerPool::sweep() {
  const uint64_t now = monotonic_ms();
  for (const auto& [id, served] : serving_) {
    const ListenerCounts& counts = *served.planned.config->counts;
    if (counts.limits) counts.limits->sweep(now, kSweepBudget);
    if (counts.affinity) counts.affinity->sweep(now, kSweepBudget);
  }
  if (!applying_) forget_closed();  // else a worker may have more to count
  std::erase_if(asking_, [](const auto& each) { return each.second.expired(); });
}

// A port that was taken may be free by now.
void WorkerPool::retry() {
  const bool any = std::any_of(failed_.all().begin(), failed_.all().end(), retryable);
  if (!any || applying_ || in_doubt_ || workers_.empty()) return;
  std::vector<Failure> still = planner_.failures();
  const auto& wanted = planner_.planned();
  for (const auto& failure : failed_.all()) {
    const ListenerId id{{failure.address, failure.port}, failure.protocol, failure.match};
    const auto found = wanted.find(id);
    if (!retryable(failure) || found == wanted.end()) continue;
    if (const auto opened = open_again(id, found->second); !opened) {
      still.push_back(listener_failure(failure.key, id, opened.error()));
    } else {
      unopened_.erase(id);
    }
  }
  const bool news = still != failed_.all();
  failed_.set(std::move(still));
  look_for_panic_soon();
  if (news) barrier([this] { changed(); });
}

Status WorkerPool::open_again(const ListenerId& id, const PlannedListener& planned) {
  const auto held = serving_.find(id);
  if (held == serving_.end()) return open(id, planned);
  if (held->second.whole) return update(id, held->second, planned);
  close(id, held->second);
  forget(held);
  return out_of_memory();
}

void WorkerPool::drain(unsigned grace_ms, std::function<void()> done) {
  drained_.push_back(std::move(done));
  draining_ = applying_ = true;  // nothing is opened again
  drain_grace_ms_ = grace_ms;
  begin_drain();
}

// Engines take it twice; where memory lacks, the pulse begins again.
void WorkerPool::begin_drain() {
  or_counted([this] {
    for (const auto& [id, served] : serving_) note_closing(id, served);
    serving_.clear();
    doors_.clear();
    for (const auto& worker : workers_) {
      worker->post([ms = *drain_grace_ms_](RelayEngine& engine) { engine.drain(ms); });
      worker->post_udp([ms = *drain_grace_ms_](UdpRelay& relay) { relay.drain(ms); });
    }
    barrier([this] {
      awaits_drained_ = true;
      await_drained();
    });
    drain_grace_ms_.reset();
  });
}

// The engines end what is left when its time is up, so this ends too.
void WorkerPool::await_drained() {
  const bool left = std::any_of(closing_.begin(), closing_.end(),
                                [](const auto& each) { return each.second->busy(); });
  if (left) return look_again_soon();
  awaits_drained_ = false;
  for (const auto& done : std::exchange(drained_, {})) done();
}

// One look at a time: the pulse begins again only where want of memory has ended them.
void WorkerPool::look_again_soon() {
  const auto looking = std::make_shared<bool>(true);
  looking_ = looking;
  chores_->after(kDrainCheck, [this, looking] {
    on_control([this, looking] { or_counted([this] { await_drained(); }); });
  });
}

// Runs `next` on the control thread once every worker has done what was posted before.
void WorkerPool::barrier(std::function<void()> next) {
  barriers_.push_back(std::make_shared<Barrier>(workers_.size(), std::move(next)));
  post_barriers();
}

void WorkerPool::post_barriers() {
  or_counted([this] {
    for (const auto& each : barriers_) {
      while (each->posted < workers_.size()) {
        workers_[each->posted]->post([this, each](RelayEngine&) {
          if (each->left.fetch_sub(1) == 1) on_control([this] { pass_barriers(); });
        });
        ++each->posted;
      }
    }
  });
}

// Whoever is told here may set up another one.
void WorkerPool::pass_barriers() {
  const auto passed = [](const auto& each) { return each->left == 0; };
  for (;;) {
    const auto each = std::find_if(barriers_.begin(), barriers_.end(), passed);
    if (each == barriers_.end() || workers_.empty()) return;
    const auto next = std::exchange((*each)->next, nullptr);
    barriers_.erase(each);
    or_counted(next);
  }
}

// What was lost was counted; a second later whatever was under way has arrived.
void WorkerPool::look_for_lost() {
  const uint64_t wants = counters().no_memory;
  if (look_in_ == 0 && wants != wants_seen_) look_in_ = 2;
  wants_seen_ = wants;
  if (look_in_ == 0 || --look_in_ > 0) return;
  look_in_ = 2;  // again, should it throw
  ask_unasked();
  dial_waiting();
  look_for_panic_soon();
  changed();
  look_in_ = 0;
}

// Backends that are out of use, and nobody asks whether they are back.
void WorkerPool::ask_unasked() {
  for (const auto& [id, served] : serving_) {
    const ListenerConfig& config = *served.planned.config;
    for (const auto& record : config.records) {
      if (record->out() && !asking_.contains(record.get())) ejected(record, config.policy);
    }
  }
}

}  // namespace lb::proxy
