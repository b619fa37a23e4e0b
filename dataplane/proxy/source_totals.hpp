// What happened for want of room in tables of client addresses, over all listeners that are and
// were: their own counts go with them.
//
// Any thread. The tables of one data path write it, under their locks; it outlives them.
#pragma once

#include <atomic>
#include <cstdint>

namespace lb::proxy {

struct SourceTotals {
  // Of SourceLimits, as in SourceLimitsCounts.
  std::atomic<uint64_t> limits_full{0}, limits_evicted{0}, limits_evicted_early{0};
  std::atomic<uint64_t> affinity_evicted{0};
};

}  // namespace lb::proxy
