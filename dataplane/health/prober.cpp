#include "dataplane/health/prober.hpp"

#include <sys/random.h>

#include <algorithm>
#include <new>
#include <utility>

namespace lb::health {
namespace {

using Clock = TimerQueue::Clock;
using std::chrono::microseconds;

constexpr uint32_t kSpreadMs = 1000;

uint64_t random_seed() {
  uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    seed = static_cast<uint64_t>(Clock::now().time_since_epoch().count());
  }
  return seed;
}

}  // namespace

Prober::Prober(asio::io_context& io, ProberOptions options)
    : options_(std::move(options)),
      starter_(io, options_.source, options_.descriptor_line),
      random_(options_.seed ? *options_.seed : random_seed()) {}

Prober::~Prober() { stop(); }

void Prober::want(const std::string& service, const Check& check) {
  if (check.policy.type == HealthType::kNone) return;
  const auto found = entries_.find(check);
  Entry& entry = found == entries_.end() ? add(check) : found->second;
  try {
    entry.services.insert(service);
  } catch (const std::bad_alloc&) {
    if (entry.services.empty()) drop(check);
    throw;
  }
}

void Prober::forget(const std::string& service, const Check& check) {
  const auto found = entries_.find(check);
  if (found == entries_.end()) return;
  found->second.services.erase(service);
  if (!found->second.services.empty()) return;
  drop(check);
  serve();
}

void Prober::drop(const Check& check) {
  const auto found = entries_.find(check);
  release(found->second);
  entries_.erase(found);
}

void Prober::stop() {
  for (auto& [check, entry] : entries_) release(entry);
  entries_.clear();
}

Prober::Entry& Prober::add(const Check& check) {
  const Entry* before = same_question(check);
  const auto now = Clock::now();
  const HealthState state =
      before ? HealthState(check.policy, before->state) : HealthState(check.policy);
  const auto since = before ? before->since : now;
  Entry& entry = entries_.try_emplace(check, check, state, since).first->second;
  const microseconds spread =
      std::chrono::milliseconds(std::min(check.policy.interval_ms, kSpreadMs));
  try {
    const auto first = now + microseconds(static_cast<int64_t>(spread.count() * jitter()));
    entry.next = starter_.timers().at(first, [this, &entry] { due(entry); });
  } catch (const std::bad_alloc&) {
    entries_.erase(check);  // one that nobody would probe
    throw;
  }
  return entry;
}

// The lowest numbers sort first among checks that ask the same.
const Prober::Entry* Prober::same_question(const Check& check) const {
  Check lowest = check;
  lowest.policy.interval_ms = lowest.policy.timeout_ms = 0;
  lowest.policy.rise = lowest.policy.fall = 0;
  const auto found = entries_.lower_bound(lowest);
  const bool same = found != entries_.end() && found->first.same_question(check);
  return same ? &found->second : nullptr;
}

void Prober::release(Entry& entry) {
  starter_.timers().cancel(entry.next);
  if (entry.turn) turns_.leave(entry.turn);
  if (!entry.probe) return;
  entry.probe->cancel();
  --counters_.in_flight;
}

// For want of memory it stands still until somebody looks.
void Prober::schedule(Entry& entry, Clock::time_point when) {
  try {
    entry.next = starter_.timers().at(when, [this, &entry] { due(entry); });
  } catch (const std::bad_alloc&) {
    ++counters_.own_wants;
    some_stand_still_ = true;
  }
}

bool Prober::stands_still(const Entry& entry) {
  return entry.next == TimerQueue::Id{} && !entry.probe && !entry.turn;
}

void Prober::look() {
  starter_.timers().look();
  if (!std::exchange(some_stand_still_, false)) return;
  for (auto& [check, entry] : entries_) {
    if (stands_still(entry)) schedule(entry, Clock::now() + entry.state.next_delay(jitter()));
  }
}

// For want of memory.
void Prober::put_off(Entry& entry) {
  ++counters_.own_wants;
  schedule(entry, Clock::now() + entry.state.next_delay(jitter()));
}

void Prober::due(Entry& entry) {
  entry.next = {};
  try {
    entry.turn = line_up(entry);
  } catch (const std::bad_alloc&) {
    return put_off(entry);
  }
  serve();
  if (!entry.turn.holds()) ++counters_.delayed;
}

Prober::Turns::Turn Prober::line_up(Entry& entry) {
  const auto least = std::min_element(
      entry.services.begin(), entry.services.end(),
      [this](const auto& a, const auto& b) { return turns_.load(a) < turns_.load(b); });
  return turns_.join(*least, &entry);
}

void Prober::serve() {
  while (turns_.next() != nullptr) {
    if (counters_.in_flight >= std::max<size_t>(1, options_.max_in_flight)) {
      Entry* const* cut = turns_.to_cut();
      if (cut == nullptr) return;
      cut_off(**cut);
    }
    launch(**turns_.next());
  }
}

void Prober::launch(Entry& entry) {
  entry.begun = Clock::now();
  try {
    entry.probe = starter_.begin(
        entry.check, [this, &entry](const ProbeResult& result) { answered(entry, result); });
  } catch (const std::bad_alloc&) {
    turns_.leave(entry.turn);
    return put_off(entry);
  }
  turns_.hold(entry.turn);
  ++counters_.probes;
  ++counters_.in_flight;
}

void Prober::cut_off(Entry& entry) {
  const auto again = line_up(entry);
  entry.probe->cancel();
  entry.probe.reset();
  --counters_.in_flight;
  ++counters_.cut;
  turns_.leave(entry.turn);
  entry.turn = again;
}

void Prober::answered(Entry& entry, const ProbeResult& result) {
  entry.probe.reset();
  --counters_.in_flight;
  turns_.leave(entry.turn);
  count(result);
  const auto now = Clock::now();
  const bool changed = entry.state.on_result(result);
  if (changed) {
    entry.since = now;
    ++counters_.transitions;
  }
  schedule(entry, std::max(now, entry.begun + entry.state.next_delay(jitter())));
  serve();
  if (!changed || !options_.on_change) return;
  // Copies, of the function too: the call may remove the entry, or the prober.
  const auto on_change = options_.on_change;
  const Check check = entry.check;
  on_change(check, verdict_of(entry));
}

void Prober::count(const ProbeResult& result) {
  switch (result.outcome) {
    case Outcome::kSuccess:
      ++counters_.successes;
      break;
    case Outcome::kTimeout:
      ++counters_.timeouts;
      ++counters_.failures;
      break;
    case Outcome::kFailure:
      ++counters_.failures;
      break;
    case Outcome::kOwnWant:
      ++counters_.own_wants;
      break;
  }
}

Verdict Prober::verdict_of(const Entry& entry) {
  return {entry.state.health(), entry.state.reason(), entry.since};
}

Verdict Prober::verdict(const Check& check) const {
  const auto found = entries_.find(check);
  return found == entries_.end() ? Verdict{} : verdict_of(found->second);
}

double Prober::jitter() { return std::uniform_real_distribution<double>(0, 1)(random_); }

}  // namespace lb::health
