// Makes addresses of ours reachable on the local network, and guards the node behind them.
//
// Owned and called by the control thread; callbacks come back on it. Takes the whole set of VIPs
// each time, so start, resync and change are one code path. Nothing throws. The design's section 5
// is the specification: address with a short lifetime that is renewed (the kernel drops it when we
// die), probe before the first add, gratuitous ARP or unsolicited NA on gain, and a filter that
// rejects what is sent to a VIP on a port that is not listed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb::announce {

// One address and what may be reached on it.
struct Vip {
  IpAddress address;
  std::set<std::pair<Protocol, uint16_t>> ports;

  bool operator==(const Vip&) const = default;
};

// Since start; each has a metric.
struct AnnounceCounters {
  uint64_t added = 0, removed = 0, renewals = 0, renewal_failures = 0;
  uint64_t probes = 0, conflicts = 0, announcements = 0, filter_failures = 0, link_changes = 0;
};

class Announcer {
 public:
  // Addresses that could not be announced, with the reason ("AddressInUseOnNetwork",
  // "PermissionDenied", "NoInterface", ...).
  using Failures = std::map<IpAddress, Error>;

  virtual ~Announcer() = default;

  // Makes `wanted` what is announced; addresses that left it are withdrawn at once, so a caller
  // leaves those with live connections in. `done` is called once, when each new address has been
  // probed and added, or has failed. A later call supersedes an earlier one that is under way,
  // whose `done` is then called with what is known.
  virtual void set(std::vector<Vip> wanted, std::function<void(Failures)> done) = 0;

  // Every address of the state, also those without an open listener here; before the next set().
  // Announcers that share addresses with others hand on what they cannot serve.
  virtual void expect(std::set<IpAddress>) {}

  virtual std::set<IpAddress> announced() const = 0;
  // What is wanted and cannot be announced now; changes with every retry.
  virtual Failures failures() const = 0;
  virtual AnnounceCounters counters() const = 0;

  // Withdraws every address and the filter. Synchronous.
  virtual void stop() = 0;
  // Ends and leaves everything as it is: another process renews it. `gone` is called, perhaps
  // later, when nothing of ours is left to do.
  virtual void leave(std::function<void()> gone) = 0;
};

}  // namespace lb::announce
