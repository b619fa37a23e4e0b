#include "dataplane/health/prober.hpp"

#include <sys/random.h>

#include <algorithm>
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

void Prober::set(const std::set<Check>& wanted) {
  // New ones first: they may inherit from those that go.
  for (const Check& check : wanted) {
    if (check.policy.type != HealthType::kNone && !entries_.contains(check)) add(check);
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (wanted.contains(entry->first)) {
      ++entry;
      continue;
    }
    release(entry->second);
    entry = entries_.erase(entry);
  }
  launch_waiting();
}

void Prober::add(const Check& check) {
  const Entry* before = same_question(check);
  const auto now = Clock::now();
  const HealthState state =
      before ? HealthState(check.policy, before->state) : HealthState(check.policy);
  const auto since = before ? before->since : now;
  Entry& entry = entries_.try_emplace(check, check, state, since).first->second;
  const microseconds spread =
      std::chrono::milliseconds(std::min(check.policy.interval_ms, kSpreadMs));
  schedule(entry, now + microseconds(static_cast<int64_t>(spread.count() * jitter())));
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
  if (entry.turn) waiting_.erase(*entry.turn);
  if (!entry.probe) return;
  entry.probe->cancel();
  --counters_.in_flight;
}

void Prober::schedule(Entry& entry, Clock::time_point when) {
  entry.next = starter_.timers().at(when, [this, &entry] { due(entry); });
}

void Prober::due(Entry& entry) {
  if (counters_.in_flight < std::max<size_t>(1, options_.max_in_flight)) return launch(entry);
  ++counters_.delayed;
  entry.turn = waiting_.insert(waiting_.end(), &entry);
}

void Prober::launch(Entry& entry) {
  ++counters_.probes;
  ++counters_.in_flight;
  entry.begun = Clock::now();
  entry.probe = starter_.begin(
      entry.check, [this, &entry](const ProbeResult& result) { answered(entry, result); });
}

void Prober::launch_waiting() {
  while (!waiting_.empty() && counters_.in_flight < std::max<size_t>(1, options_.max_in_flight)) {
    Entry& entry = *waiting_.front();
    waiting_.pop_front();
    entry.turn.reset();
    launch(entry);
  }
}

void Prober::answered(Entry& entry, const ProbeResult& result) {
  entry.probe.reset();
  --counters_.in_flight;
  count(result);
  const auto now = Clock::now();
  const bool changed = entry.state.on_result(result);
  if (changed) {
    entry.since = now;
    ++counters_.transitions;
  }
  schedule(entry, std::max(now, entry.begun + entry.state.next_delay(jitter())));
  launch_waiting();
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
