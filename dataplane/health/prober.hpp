// Probes every wanted check again and again, and knows the health of each.
//
// How to use it: map each (service, backend) to check_of(backend, policy), hand the set of all of
// them to set(), and read verdict() whenever a backend's health matters. Checks that are equal are
// probed once. on_change says when to read again; after set() read as well, since a check that
// only got other numbers keeps its health without a call.
//
// One thread, that of the io_context; everything is called and calls back there. The io_context
// must outlive the prober. on_change may call anything of the prober, and may even destroy it.
// Nothing throws (memory apart). Times are steady_clock's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

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

  // What is wanted from now on. Checks that stay keep their health and schedule. New ones are
  // first probed at a random moment within min(interval, 1 s), and begin with the health of one
  // that asks the same in other numbers, if there is one. Those gone stop at once.
  void set(const std::set<Check>& wanted);

  // Forgets every check. No callback afterwards; set() begins anew.
  void stop() { set({}); }

  // Unknown for a check that is not wanted.
  Verdict verdict(const Check& check) const;

  const ProberCounters& counters() const { return counters_; }

 private:
  struct Entry {
    Entry(const Check& what, HealthState before, TimerQueue::Clock::time_point health_since)
        : check(what), state(std::move(before)), since(health_since) {}

    const Check check;
    HealthState state;
    TimerQueue::Clock::time_point since;
    TimerQueue::Clock::time_point begun{};
    TimerQueue::Id next;
    std::shared_ptr<Probe> probe;                     // in flight
    std::optional<std::list<Entry*>::iterator> turn;  // in waiting_
  };

  void add(const Check& check);
  const Entry* same_question(const Check& check) const;
  void release(Entry& entry);
  void schedule(Entry& entry, TimerQueue::Clock::time_point when);
  void due(Entry& entry);
  void launch(Entry& entry);
  void launch_waiting();
  void answered(Entry& entry, const ProbeResult& result);
  void count(const ProbeResult& result);
  static Verdict verdict_of(const Entry& entry);
  double jitter();

  const ProberOptions options_;
  ProbeStarter starter_;
  std::mt19937_64 random_;
  ProberCounters counters_;
  std::list<Entry*> waiting_;  // due, first come first served
  std::map<Check, Entry> entries_;
};

}  // namespace lb::health
