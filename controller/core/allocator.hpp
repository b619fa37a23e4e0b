// Gives addresses out of pools, and says why when it cannot.
//
// Pure: no clock and no I/O; owned by the thread that owns the world. An address has one owner, or
// several of one namespace that share it by key with ports that differ: those whose claims rank
// best, and rank depends on nothing but the claims themselves, so the outcome for requested and
// already assigned addresses never depends on the order of events. An address in a status comes
// first, then one that is asked for, then one that was merely picked, then one that a data plane
// serves; among equals the older Service. Whoever's outcome changed through somebody else's claim
// is named by take_changed(). Outside every pool an address is only kept, and only by whoever was
// known to hold it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/match.hpp"
#include "common/model/state.hpp"
#include "controller/core/backends.hpp"
#include "controller/core/pool_set.hpp"

namespace lb::plan {

// What of an address is wanted: of each port those connections that a match takes.
using PortSet = std::set<std::tuple<uint16_t, Protocol, MatchAtom>>;

// What one Service wants. At most one address of each family in either list.
struct Claim {
  std::vector<IpAddress> assigned;     // in its status
  std::vector<IpAddress> requested;    // asked for by field or annotation
  std::vector<IpAddress> served = {};  // by a data plane, whether or not a status says so yet
  std::vector<Family> families;        // one address of each; empty: whichever the pools have
  bool every_family = false;           // a missing family is a refusal (RequireDualStack)
  std::string creation_time;
  Applicant who = {};
  std::string share_key = {};  // empty: shares with nobody
  PortSet ports = {};          // what tells sharers apart

  bool operator==(const Claim&) const = default;
};

struct Allocation {
  std::vector<IpAddress> addresses;  // in the order of the claim's families
  std::optional<Problem> problem;
  std::optional<Problem> degraded;  // served, but not as the pools are now

  bool operator==(const Allocation&) const = default;
};

class Allocator {
 public:
  // One pool, for whoever asks.
  explicit Allocator(std::vector<AddressRange> ranges = {});
  explicit Allocator(std::vector<Pool> pools) : pools_(std::move(pools)) {}

  const PoolSet& pools() const { return pools_; }
  // Moves nobody: neither whose address stays in a pool, be it another than the one that it names,
  // nor whoever holds one that does not.
  void set_pools(std::vector<Pool> pools);
  bool in_pool(const IpAddress& address) const { return pools_.owner(address) != nullptr; }
  // Whether `key` may go on with an address of its status.
  bool trusts(const std::string& key, const IpAddress& address,
              const std::vector<IpAddress>& served) const;

  // Registers the claim of `key` without picking: at start, before the first allocate().
  void claim(const std::string& key, Claim claim);
  // Registers the claim and settles it.
  Allocation allocate(const std::string& key, Claim claim);
  // What `key` holds now.
  std::vector<IpAddress> held(const std::string& key) const;
  // Gives everything of `key` back; its addresses are used again only when no other is free, until
  // end_quarantine().
  void release(const std::string& key);
  // Makes `key`, that nobody plans any more, the holder of what it serves still, as far as that is
  // in a pool and no one else's. Nothing for a key that holds or claims already.
  void reserve(const std::string& key, const std::vector<IpAddress>& addresses);
  bool held_by_other(const std::string& key, const IpAddress& address) const;

  // While it holds back, nobody gets an address that is not in its status, held or served, and
  // nobody moves away from one: a data plane that was not heard yet may serve any.
  void hold_back(bool hold);
  bool holding_back() const { return holding_back_; }

  // While they keep resting, an address that rests is not given before its quarantine ends, not
  // even as the last one: a data plane that is lost may serve it still.
  void keep_resting(bool keep);
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
  // By the pool that owns the address; "" for what is kept outside every pool.
  std::map<std::string, Usage> usage_by_pool() const;

 private:
  struct Holder {
    Claim claim;
    std::map<Family, IpAddress> picked;     // what it holds, by family
    std::optional<std::string> named = {};  // the pool that it named when it got that
  };
  enum class Rank { kAssigned, kRequested, kPicked, kServed, kNone };
  using Group = std::pair<std::string, std::string>;  // namespace and key of those who share

  Rank rank(const Holder& holder, const IpAddress& address) const;
  bool before(const std::string& a, const std::string& b, const IpAddress& address) const;
  std::optional<bool> named_has(const std::string& name, const IpAddress& address) const;
  bool misses(const std::string& named, const IpAddress& address) const;
  bool moves_away(const Holder& holder, const IpAddress& address) const;
  void note_pool(Holder& holder) const;
  bool keeps(const Holder& holder, const IpAddress& address) const;
  std::optional<Problem> inadmissible(const Holder& holder, const IpAddress& address) const;
  bool can_share(const Claim& a, const Claim& b) const;
  std::set<std::string> interested(const IpAddress& address) const;
  std::vector<std::string> winners(const std::string& key, const IpAddress& address) const;
  std::optional<Problem> settle_family(const std::string& key, Holder& holder, Family family);
  std::optional<Problem> stay(const std::string& key, Holder& holder, Family family);
  bool spoken_for(const IpAddress& address) const;
  std::optional<Problem> take(const std::string& key, Holder& holder, const IpAddress& address);
  std::optional<Problem> pick(const std::string& key, Holder& holder, Family family);
  std::optional<IpAddress> shared(const std::string& key, const Holder& holder, Family family,
                                  const std::vector<const Pool*>& pools) const;
  std::optional<IpAddress> oldest_quarantined(Family family,
                                              const std::vector<const Pool*>& pools) const;
  bool usable(const IpAddress& address) const;
  bool free(const IpAddress& address) const;
  void put_out(const std::string& key, const IpAddress& address);
  void drop(const std::string& key, Holder& holder, Family family);
  void index(const std::string& key, const Claim& claim, bool add);
  void wake_interested(const Claim& claim);
  void wake_sharers(const Claim& claim);
  bool gives_up_any(const Claim& before) const;
  void wake_waiting();
  std::optional<Problem> outside(const Holder& holder) const;
  std::vector<Family> families_of(const Claim& claim) const;

  PoolSet pools_;
  std::map<std::string, Holder> holders_;
  std::map<IpAddress, std::set<std::string>> owners_;
  std::map<IpAddress, std::set<std::string>> claimants_;  // by assigned and requested addresses
  std::map<Group, std::set<std::string>> groups_;
  std::map<IpAddress, uint64_t> quarantine_;  // with the order in which they came
  std::set<IpAddress> conflicts_;
  std::set<IpAddress> blocked_;
  std::set<std::string> waiting_;  // want more than they hold
  std::set<std::string> changed_;
  uint64_t releases_ = 0;
  bool holding_back_ = false;
  bool keep_resting_ = false;
};

}  // namespace lb::plan
