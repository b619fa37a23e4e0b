// The one diff: what changed between two desired states, and how to apply it. Pure; any thread.
//
// Laws, held by property tests: diff(a, a) is empty; apply(a, diff(a, b)) == b; only services that
// differ are named.
#pragma once

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb {

struct StateDiff {
  ServiceList changed;               // added or different, sorted by key
  std::vector<std::string> removed;  // sorted

  bool empty() const { return changed.empty() && removed.empty(); }
};

// Both normalised. Services that the two share cost a comparison of pointers for each chunk of
// them (see SharedList).
StateDiff diff(const DesiredState& from, const DesiredState& to);

StatePatch to_patch(const StateDiff& diff, Version base, uint64_t generation);

// The order rules of PUT (design, section 2): Done, or Error{"Order"}.
Status check_put(const DesiredState& held, const DesiredState& offered);

// Has `state` share those services of `with` that are equal, so that a later diff() need not look.
void share_equal(const DesiredState& with, DesiredState& state);

// The order rules of PATCH, then the patched state (normalised, as `held` and the patch's services
// have to be, and as decode_patch() leaves them). What the patch names is shared with it and the
// rest with `held`, which costs nothing where no service comes or goes. Unknown removed keys are
// ignored.
Result<DesiredState> apply_patch(const DesiredState& held, const StatePatch& patch);

}  // namespace lb
