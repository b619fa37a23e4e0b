// Gives addresses out of pools, and says why when it cannot.
//
// Pure: no clock and no I/O; owned by the thread that owns the world. An address has one owner: the
// claimant of the best rank, and rank depends on nothing but the claims themselves, so the outcome
// for requested and already assigned addresses never depends on the order of events. An address in
// a status comes first, then one that is asked for, then one that was merely picked; among equals
// the older Service. Whoever's outcome changed through somebody else's claim is named by
// take_changed(). Addresses outside every pool are never given, whatever a status says.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/address.hpp"
#include "controller/core/backends.hpp"

namespace lb::plan {

// What one Service wants. At most one address of each family in either list.
struct Claim {
  std::vector<IpAddress> assigned;     // in its status
  std::vector<IpAddress> requested;    // asked for by field or annotation
  std::vector<IpAddress> served = {};  // by a data plane, whether or not a status says so yet
  std::vector<Family> families;        // one address of each; empty: whichever the pools have
  bool every_family = false;           // a missing family is a refusal (RequireDualStack)
  std::string creation_time;

  bool operator==(const Claim&) const = default;
};

struct Allocation {
  std::vector<IpAddress> addresses;  // in the order of the claim's families
  std::optional<Problem> problem;

  bool operator==(const Allocation&) const = default;
};

class Allocator {
 public:
  explicit Allocator(std::vector<AddressRange> pools = {}) : pools_(std::move(pools)) {}

  const std::vector<AddressRange>& pools() const { return pools_; }
  bool in_pool(const IpAddress& address) const;

  // Registers the claim of `key` without picking: at start, before the first allocate().
  void claim(const std::string& key, Claim claim);
  // Registers the claim and settles it.
  Allocation allocate(const std::string& key, Claim claim);
  // What `key` holds now.
  std::vector<IpAddress> held(const std::string& key) const;
  // Gives everything of `key` back; its addresses are used again only when no other is free, until
  // end_quarantine().
  void release(const std::string& key);

  void end_quarantine(const IpAddress& address);
  std::set<IpAddress> quarantined() const;

  // Somebody else on the network answers for the address: not given until the conflict ends.
  void mark_conflict(const IpAddress& address);
  void end_conflict(const IpAddress& address);
  const std::set<IpAddress>& conflicts() const { return conflicts_; }

  // Addresses of nodes, never given.
  void set_blocked(std::set<IpAddress> blocked);
  const std::set<IpAddress>& blocked() const { return blocked_; }

  // Keys to plan again because of somebody else's change; sorted.
  std::set<std::string> take_changed();

  struct Usage {
    size_t assigned = 0, quarantined = 0, conflicts = 0, waiting = 0;
  };
  Usage usage() const;

 private:
  struct Holder {
    Claim claim;
    std::map<Family, IpAddress> picked;  // what it holds, by family
    bool waiting = false;                // wants more than it holds
  };
  enum class Rank { kAssigned, kRequested, kPicked, kServed, kNone };

  Rank rank(const Holder& holder, const IpAddress& address) const;
  bool before(const std::string& a, const std::string& b, const IpAddress& address) const;
  std::optional<Problem> settle_family(const std::string& key, Holder& holder, Family family);
  std::optional<Problem> take(const std::string& key, Holder& holder, const IpAddress& address);
  std::optional<Problem> pick(const std::string& key, Holder& holder, Family family);
  std::optional<IpAddress> first_free(Family family) const;
  std::optional<IpAddress> oldest_quarantined(Family family) const;
  bool usable(const IpAddress& address) const;
  bool wanted_by_claim(const IpAddress& address) const;
  void drop(const std::string& key, Holder& holder, Family family);
  void index(const std::string& key, const Claim& claim, bool add);
  bool gives_up_any(const Claim& before) const;
  void wake_waiting();
  std::vector<Family> families_of(const Claim& claim) const;
  bool has_pool(Family family) const;

  std::vector<AddressRange> pools_;
  std::map<std::string, Holder> holders_;
  std::map<IpAddress, std::string> owner_;
  std::map<IpAddress, std::set<std::string>> claimants_;  // by assigned and requested addresses
  std::map<IpAddress, uint64_t> quarantine_;              // with the order in which they came
  std::set<IpAddress> conflicts_;
  std::set<IpAddress> blocked_;
  std::set<std::string> changed_;
  uint64_t releases_ = 0;
};

}  // namespace lb::plan
