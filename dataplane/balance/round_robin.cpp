#include "dataplane/balance/round_robin.hpp"

namespace lb::balance {

std::optional<size_t> RoundRobin::pick(const std::vector<Candidate>& candidates) {
  resize(candidates.size());
  for (const bool ejected : {false, true}) {
    for (const BackendState state : {BackendState::kReady, BackendState::kDraining}) {
      const auto found = pick_among(candidates, [&](const Candidate& candidate) {
        return candidate.ejected == ejected && candidate.state == state;
      });
      if (found) return found;
    }
  }
  return std::nullopt;
}

std::optional<size_t> RoundRobin::pick_among(const std::vector<Candidate>& candidates,
                                             const Tier& tier) {
  std::optional<size_t> best;
  int64_t total = 0;
  for (size_t step = 0; step < candidates.size(); ++step) {
    const size_t i = (offset_ + step) % candidates.size();
    const Candidate& candidate = candidates[i];
    if (candidate.weight == 0 || candidate.tried || !tier(candidate)) continue;
    credit_[i] += candidate.weight;
    total += candidate.weight;
    if (!best || credit_[i] > credit_[*best]) best = i;
  }
  if (best) credit_[*best] -= total;
  return best;
}

void RoundRobin::resize(size_t count) {
  if (credit_.size() != count) credit_.assign(count, 0);
}

}  // namespace lb::balance
