// One backend as the balancing policies see it: what is configured, and what is true now.
//
// A plain value that the caller fills in; the policies never keep one. `share` is in permille of
// the weight, see slow_start.hpp. `connections` need not be filled in for round robin;
// `identity` tells who is who when the list changes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/model/state.hpp"

namespace lb::balance {

// What the active checks say; kUnknown where there are none, or no answer yet.
enum class Health : uint8_t { kUnknown, kUp, kDown };

struct Candidate {
  uint16_t weight = 1;
  BackendState state = BackendState::kReady;
  Health health = Health::kUnknown;
  bool ejected = false;  // passively, for its failures
  bool tried = false;    // by this connection, in vain
  bool near = false;     // in the zone of this data plane
  uint16_t share = 1000;
  uint16_t group = 0;  // index; see grouped.hpp
  uint32_t connections = 0;
  uint64_t identity = 0;  // hash_of(endpoint)
};

// Weights are compared in thousandths, so that a slow start can take a part of a weight of 1.
inline uint64_t effective_weight(const Candidate& candidate) {
  return uint64_t{candidate.weight} * std::max<uint16_t>(candidate.share, 1);
}

// Whether `a` has fewer connections for its weight. No overflow: 32 bits by 32.
inline bool less_loaded(const Candidate& a, const Candidate& b) {
  return a.connections * effective_weight(b) < b.connections * effective_weight(a);
}

}  // namespace lb::balance
