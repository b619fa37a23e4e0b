#include "dataplane/balance/selection.hpp"

namespace lb::balance {
namespace {

using Kinds = uint64_t;

// Bits of Selection::kind_of: 12 for each state, 4 for each health, 2 for each of ejected or not.
constexpr Kinds kOneState = 0xfff;
constexpr Kinds kNear = 0xaaaaaaaaa;
constexpr Kinds kEjected = 0xccccccccc;
constexpr Kinds kOneHealth = 0xf;
constexpr unsigned kBitsPerHealth = 4;
constexpr unsigned kBitsPerState = 12;

constexpr Kinds of_health(Health health) { return kOneHealth << unsigned(health) * kBitsPerHealth; }

// Within a tier.
Kinds best_of(Kinds left, bool prefer_near) {
  const Kinds sound = left & ~kEjected;
  if (prefer_near && (sound & kNear) != 0) return sound & kNear;
  return sound != 0 ? sound : left;
}

// The first tier of one state that has somebody left; of those called down only a panic uses any.
Kinds best_tier(Kinds left, bool panic) {
  if (panic) return left;
  const Kinds up = left & of_health(Health::kUp);
  return up != 0 ? up : left & of_health(Health::kUnknown);
}

}  // namespace

bool in_panic(std::span<const Candidate> candidates, BackendState state, uint32_t percent) {
  if (percent == 0) return false;
  uint64_t all = 0, healthy = 0;
  for (const Candidate& candidate : candidates) {
    const bool counts = candidate.weight > 0 && candidate.state == state;
    all += counts;
    healthy += counts && candidate.health != Health::kDown;
  }
  return healthy * 100 < all * percent;
}

Selection::Selection(std::span<const Candidate> candidates, const PickOptions& options) {
  Kinds left = 0;
  for (const Candidate& candidate : candidates) {
    const bool may = candidate.weight > 0 && !candidate.tried;
    left |= Kinds{may} << kind_of(candidate);
    total_weight_ += effective_weight(candidate);
  }
  for (const BackendState state : {BackendState::kReady, BackendState::kDraining}) {
    const unsigned shift = unsigned(state) * kBitsPerState;
    const Kinds here = left >> shift & kOneState;
    if (here == 0) continue;
    const bool panic = in_panic(candidates, state, options.panic_percent);
    kinds_ = best_of(best_tier(here, panic), options.prefer_near) << shift;
    if (kinds_ != 0) return;
  }
}

unsigned Selection::rank() const {
  if (empty()) return 4;
  const bool draining = (kinds_ & kOneState) == 0;
  return unsigned(draining) * 2 + unsigned((kinds_ & ~kEjected) == 0);
}

bool eligible(std::span<const Candidate> candidates, size_t index, const PickOptions& options) {
  return index < candidates.size() && Selection(candidates, options).has(candidates[index]);
}

}  // namespace lb::balance
