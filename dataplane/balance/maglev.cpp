#include "dataplane/balance/maglev.hpp"

#include <algorithm>
#include <cmath>

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/selection.hpp"

namespace lb::balance {
namespace {

constexpr int kProbes = 64;  // then the list is shorter than the walk
constexpr double kMostOfFairShare = 1.25;
constexpr double kAlwaysAllowed = 1;

uint64_t of_both(uint64_t client_hash, const Candidate& candidate) {
  return mix(client_hash ^ mix(candidate.identity));
}

// What decides whether one of the selected may have this flow.
class Room {
 public:
  Room(std::span<const Candidate> candidates, const Selection& selection) : selection_(selection) {
    uint64_t weight = 0, connections = 0;
    for (const Candidate& candidate : candidates) {
      const bool counts = selection.has(candidate);
      weight += counts ? effective_weight(candidate) : 0;
      connections += counts ? candidate.connections : 0;
    }
    // With the new one, so that the bound holds when it has been placed.
    per_weight_ = kMostOfFairShare * double(connections + 1) / double(weight);
  }

  bool for_one_more(const Candidate& candidate) const {
    const double most = per_weight_ * double(effective_weight(candidate));
    return selection_.has(candidate) && candidate.connections <= std::max(most, kAlwaysAllowed);
  }

 private:
  const Selection& selection_;
  double per_weight_;
};

bool starts_too_slowly(const Candidate& candidate, uint64_t client_hash) {
  return candidate.share < 1000 &&
         scale_to(of_both(client_hash, candidate), 1000) >= candidate.share;
}

// Weighted rendezvous: the same choice for the same client as long as the winner has room.
// Somebody has room always: the least loaded for its weight has no more than its fair share.
std::optional<size_t> by_rendezvous(std::span<const Candidate> candidates, const Room& room,
                                    uint64_t client_hash) {
  std::optional<size_t> best;
  double least = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!room.for_one_more(candidates[i])) continue;
    const double uniform = (double(of_both(~client_hash, candidates[i]) >> 11) + 0.5) * 0x1p-53;
    const double score = -std::log(uniform) / double(effective_weight(candidates[i]));
    if (best && score >= least) continue;
    best = i;
    least = score;
  }
  return best;
}

}  // namespace

std::optional<size_t> Maglev::pick(std::span<const Candidate> candidates, const PickInput& input,
                                   const PickOptions& options) {
  const Selection selection(candidates, options);
  if (selection.empty()) return std::nullopt;
  table_.refresh(candidates);
  const Room room(candidates, selection);
  const uint64_t hash = input.client_hash;
  const uint32_t size = table_.size();
  uint64_t slot = scale_to(hash, size);
  const uint64_t step = 1 + scale_to(mix(hash), size - 1);
  for (int probe = 0; probe < kProbes; ++probe) {
    const size_t owner = table_.owner(uint32_t(slot));
    const Candidate& candidate = candidates[owner];
    if (room.for_one_more(candidate) && !starts_too_slowly(candidate, hash)) return owner;
    slot = (slot + step) % size;
  }
  return by_rendezvous(candidates, room, hash);
}

}  // namespace lb::balance
