// What users see in the status of an AddressPool: how large it is, how much of it is in use, and
// what stands in the way of the rest.
//
// Pure values; any thread. Counts of addresses.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controller/core/allocator.hpp"

namespace lb::plan {

// No pool is larger in what we say: every reader of JSON can hold this number.
inline constexpr uint64_t kMaxCapacity = (uint64_t{1} << 53) - 1;
// As many as the definition of the resource lets in; the metrics count them all.
inline constexpr size_t kMaxPoolConflicts = 32;

struct PoolConflict {
  std::string reason;  // InvalidObject, PoolOverlap, AddressInUseOnNetwork, AddressOfNode
  std::string message;

  bool operator==(const PoolConflict&) const = default;
};

struct PoolStatus {
  std::string creation_time;  // tells a pool from an earlier one of its name; not written
  uint64_t capacity = 0;      // kMaxCapacity: that many, or more
  uint64_t assigned = 0;
  uint64_t quarantined = 0;
  std::vector<PoolConflict> conflicts;

  bool operator==(const PoolStatus&) const = default;
};

// How many addresses the ranges have, each counted once, up to kMaxCapacity.
uint64_t capacity_of(const std::vector<AddressRange>& ranges);

// By name, of every pool that is an object of the cluster.
std::map<std::string, PoolStatus> pool_statuses(const Allocator& allocator);

// {"status": …}, as a JSON merge patch.
std::string encode_pool_status(const PoolStatus& status);

}  // namespace lb::plan
