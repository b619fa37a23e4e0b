// PoolSet: all pools, which of them owns an address, and where the next free address is found.
//
// Pure; owned by the allocator. Where pools overlap the older one, then the first by name, owns the
// overlap. Finding the next free address costs what was not looked at before: a cursor in each
// range never goes back, and addresses below it that came free again are kept in order.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/core/pool.hpp"

namespace lb::plan {

class PoolSet {
 public:
  // Whether an address of a pool can be given now; it may change its mind after freed() only.
  using IsFree = std::function<bool(const IpAddress&)>;

  explicit PoolSet(std::vector<Pool> pools = {});

  // The oldest first.
  const std::vector<Pool>& all() const { return pools_; }
  // Null: in no pool.
  const Pool* owner(const IpAddress& address) const;
  bool has(Family family) const;
  // What is given without being asked for by number goes by these: priority, then name.
  std::vector<const Pool*> automatic(const Applicant& who, Family family) const;
  // The lowest that is free; it stays free until it is used.
  std::optional<IpAddress> next_free(const Pool& pool, Family family, const IsFree& free);
  // The address may be free again.
  void freed(const IpAddress& address);
  // Names of the older pools that this one overlaps.
  std::set<std::string> overlapped(const Pool& pool) const;
  // Addresses looked at so far: what tests of speed count.
  uint64_t steps() const { return steps_; }

 private:
  struct Cursor {
    AddressRange range;
    std::optional<IpAddress> next;  // nullopt: past the last
    std::set<IpAddress> behind;     // below `next`, and perhaps free again
  };

  std::optional<IpAddress> next_in(Cursor& cursor, const Pool& pool, const IsFree& free);

  std::vector<Pool> pools_;
  std::map<std::string, std::vector<Cursor>> cursors_;  // by pool
  uint64_t steps_ = 0;
};

}  // namespace lb::plan
