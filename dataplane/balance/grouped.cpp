#include "dataplane/balance/grouped.hpp"

#include <algorithm>
#include <cmath>

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/selection.hpp"

namespace lb::balance {
namespace {

constexpr unsigned kNobodysRank = 4;

// The time after which the first of a Poisson process of that rate comes: whichever group's comes
// first has the client, with a chance that is its weight's share.
double arrival(uint64_t client, const Candidate& share) {
  const uint64_t bits = mix(client ^ share.identity);
  const double uniform = (double(bits >> 11) + 0.5) * 0x1p-53;
  return -std::log(uniform) / share.weight;
}

}  // namespace

Grouped::Grouped(Balance policy, size_t offset, std::span<const GroupShare> groups)
    : rotation_(offset) {
  for (const GroupShare& group : groups) {
    groups_.push_back({make_picker(policy, offset), {}, {}, kNobodysRank});
    shares_.push_back({.weight = group.weight, .identity = group.identity});
    total_weight_ += effective_weight(shares_.back());
  }
}

std::optional<size_t> Grouped::pick(std::span<const Candidate> candidates, const PickInput& input,
                                    const PickOptions& options) {
  divide(candidates, options);
  const auto chosen = choose(input);
  if (!chosen) return std::nullopt;
  Group& group = groups_[*chosen];
  const auto picked = group.picker->pick(group.members, input, options);
  return picked ? std::optional(group.indices[*picked]) : std::nullopt;
}

// A candidate of no group that there is would be a configuration half read: it takes no part.
void Grouped::divide(std::span<const Candidate> candidates, const PickOptions& options) {
  for (Group& group : groups_) {
    group.members.clear();
    group.indices.clear();
  }
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].group >= groups_.size()) continue;
    Group& group = groups_[candidates[i].group];
    group.members.push_back(candidates[i]);
    group.indices.push_back(i);
  }
  for (Group& group : groups_) group.rank = Selection(group.members, options).rank();
}

std::optional<size_t> Grouped::choose(const PickInput& input) {
  if (input.group && *input.group < groups_.size() && groups_[*input.group].rank < 2) {
    return *input.group;
  }
  unsigned best = kNobodysRank;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (shares_[i].weight > 0) best = std::min(best, groups_[i].rank);
  }
  if (best == kNobodysRank) return std::nullopt;
  for (size_t i = 0; i < groups_.size(); ++i) {
    shares_[i].ejected = shares_[i].weight == 0 || groups_[i].rank != best;
  }
  if (input.sticky_hash) return rendezvous(*input.sticky_hash);
  return rotation_.next(shares_, total_weight_,
                        [](const Candidate& share) { return !share.ejected; });
}

std::optional<size_t> Grouped::rendezvous(uint64_t client) const {
  std::optional<size_t> first;
  double soonest = 0;
  for (size_t i = 0; i < shares_.size(); ++i) {
    if (shares_[i].ejected) continue;
    const double here = arrival(client, shares_[i]);
    if (first && here >= soonest) continue;
    first = i;
    soonest = here;
  }
  return first;
}

}  // namespace lb::balance
