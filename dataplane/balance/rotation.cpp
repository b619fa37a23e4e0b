#include "dataplane/balance/rotation.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace lb::balance {

// Were all to begin anew, a list that changes often would serve its first ones and hardly others.
void Rotation::follow(std::span<const Candidate> candidates) {
  std::unordered_map<uint64_t, int64_t> earned;
  for (size_t i = 0; i < identity_.size(); ++i) earned.emplace(identity_[i], credit_[i]);
  std::vector<int64_t> credit;
  std::vector<uint64_t> identity;
  for (const Candidate& candidate : candidates) {
    const auto known = earned.extract(candidate.identity);
    credit.push_back(known.empty() ? 0 : known.mapped());
    identity.push_back(candidate.identity);
  }
  credit_ = std::move(credit);
  identity_ = std::move(identity);
  first_ = candidates.empty() ? 0 : offset_ % candidates.size();
}

// Debts made under much larger weights would keep a backend out for as many picks.
void Rotation::rescale(uint64_t total_weight) {
  total_weight_ = total_weight;
  const auto limit = int64_t(total_weight);
  for (int64_t& credit : credit_) credit = std::clamp(credit, -limit, limit);
}

}  // namespace lb::balance
