// Who may be picked now: the best tier that still has somebody, in the design's picking order.
//
// Only candidates with weight > 0 count. The tiers are
//   1. ready and known up;
//   2. ready and not known at all;
// and then the same two of the draining ones. Whoever an active check calls down is not picked,
// except in a panic: when fewer than panic_percent of the ready ones (by number) are not called
// down, all that are ready are one tier; the draining ones have a panic of their own. Within a tier
// the ejected come last, and with prefer_near the near ones come before the others as long as one
// of them is not ejected. Whoever was tried by this connection is left out, but still counts in
// what is true of a tier, so that a retry walks on through one order. A value, good as long as the
// candidates do not change.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/balance/candidate.hpp"
#include "dataplane/balance/picker.hpp"

namespace lb::balance {

class Selection {
 public:
  Selection(std::span<const Candidate> candidates, const PickOptions& options);

  bool empty() const { return kinds_ == 0; }
  bool has(const Candidate& candidate) const {
    return candidate.weight > 0 && !candidate.tried && (kinds_ >> kind_of(candidate) & 1) != 0;
  }
  // How good those selected are beside another list's: 0 ready, 1 ready but ejected, 2 and 3 the
  // same of draining ones; more where there is nobody.
  unsigned rank() const;
  // Effective weight of all candidates, selected or not.
  uint64_t total_weight() const { return total_weight_; }

 private:
  // Candidates that only differ in weight and load are of one kind: a bit of a mask.
  static unsigned kind_of(const Candidate& candidate) {
    return unsigned(candidate.state) * 12 + unsigned(candidate.health) * 4 +
           unsigned(candidate.ejected) * 2 + unsigned(candidate.near);
  }

  uint64_t kinds_ = 0;
  uint64_t total_weight_ = 0;
};

// Whether fewer than `percent` of those in that state (by number, weight > 0) are not called down.
bool in_panic(std::span<const Candidate> candidates, BackendState state, uint32_t percent);

// Whether candidates[index] is in the selection: what affinity asks about the backend that it
// remembers. With prefer_near one of another zone is not, as long as there are near ones.
bool eligible(std::span<const Candidate> candidates, size_t index, const PickOptions& options);

}  // namespace lb::balance
