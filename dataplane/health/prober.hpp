// Probes every wanted check again and again, and knows the health of each.
//
// How to use it: map each (service, backend) to check_of(backend, policy), want() each of them for
// its service, forget() what a service no longer asks, and read verdict() whenever a backend's
// health matters. Checks that are equal are probed once. on_change says when to read again; after
// want() read as well, since a check that only got other numbers keeps its health without a call.
//
// Only so many probes are in flight. Where more are due, services take turns: whoever has fewest in
// flight is next, and where one has many, its latest is cut off for one who has fewer by two, and
// begins again in its turn. So no service, however many checks it has and however long they may
// take, keeps the others' from being made. A check of several services is made in the name of the
// one that has least to do.
//
// One thread, that of the io_context; everything is called and calls back there. The io_context
// must outlive the prober. on_change may call anything of the prober, and may even destroy it.
// Nothing throws (memory apart). Times are steady_clock's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "common/net/fair_turns.hpp"
#include "dataplane/health/check.hpp"
#include "dataplane/health/health_state.hpp"
#include "dataplane/health/probe_starter.hpp"

namespace lb::health {

struct Verdict {
  Health health = Health::kUnknown;
  std::string reason;  // why it is down, as the latest probe saw it; else empty
  std::chrono::steady_clock::time_point since;  // of the health; unknown: since it is wanted

  bool operator==(const Verdict&) const = default;
};

// Since the prober was made; in_flight is now.
struct ProberCounters {
  uint64_t probes = 0;  // begun
  uint64_t successes = 0;
  uint64_t failures = 0;  // timeouts included
  uint64_t timeouts = 0;
  uint64_t own_wants = 0;    // this host's fault: neither success nor failure
  uint64_t transitions = 0;  // changes of a health, the first verdict included
  uint64_t delayed = 0;      // had to wait for their turn
  uint64_t cut = 0;          // ended early for another service's: neither success nor failure
  uint64_t in_flight = 0;
};

struct ProberOptions {
  size_t max_in_flight = 512;            // at least 1
  std::optional<IpAddress> source = {};  // address to probe from, for targets of its family
  std::optional<uint64_t> seed = {};     // of the jitter; none: the kernel's randomness
  int descriptor_line = INT_MAX;         // numbers from here on are not for probes: an own want
  std::function<void(const Check&, const Verdict&)> on_change = {};
};

class Prober {
 public:
  Prober(asio::io_context& io, ProberOptions options);
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  ~Prober();

  // `service` wants it from now on; again does nothing. A new check is first probed at a random
  // moment within min(interval, 1 s), and begins with the health of one that asks the same in other
  // numbers, if there is one: so want() first, and then forget().
  void want(const std::string& service, const Check& check);
  // It no longer does. A check that nobody wants stops at once.
  void forget(const std::string& service, const Check& check);

  // What want of memory has stopped goes on. To be called now and then; cheap.
  void look();

  // Forgets every check. No callback afterwards.
  void stop();

  // Unknown for a check that is not wanted.
  Verdict verdict(const Check& check) const;

  const ProberCounters& counters() const { return counters_; }

 private:
  struct Entry;
  using Turns = net::FairTurns<Entry*>;
  struct Entry {
    Entry(const Check& what, HealthState before, TimerQueue::Clock::time_point health_since)
        : check(what), state(std::move(before)), since(health_since) {}

    const Check check;
    HealthState state;
    TimerQueue::Clock::time_point since;
    TimerQueue::Clock::time_point begun{};
    TimerQueue::Id next;
    std::set<std::string> services;  // that want it
    std::shared_ptr<Probe> probe;    // in flight
    Turns::Turn turn;
  };

  Entry& add(const Check& check);
  const Entry* same_question(const Check& check) const;
  void drop(const Check& check);
  void release(Entry& entry);
  void schedule(Entry& entry, TimerQueue::Clock::time_point when);
  void put_off(Entry& entry);
  static bool stands_still(const Entry& entry);
  void due(Entry& entry);
  Turns::Turn line_up(Entry& entry);
  void serve();
  void launch(Entry& entry);
  void cut_off(Entry& entry);
  void answered(Entry& entry, const ProbeResult& result);
  void count(const ProbeResult& result);
  static Verdict verdict_of(const Entry& entry);
  double jitter();

  const ProberOptions options_;
  ProbeStarter starter_;
  std::mt19937_64 random_;
  ProberCounters counters_;
  Turns turns_;  // of what is due or in flight
  std::map<Check, Entry> entries_;
  bool some_stand_still_ = false;
};

}  // namespace lb::health
