// Smooth weighted rotation: whoever has waited longest for its weight is next.
//
// Each of those included earns its weight, the richest is chosen and pays what all earned. Over a
// cycle shares follow the weights exactly, and a heavy one is spread instead of bursting. The
// included may change from pick to pick; when the list becomes longer or shorter, whoever stays (by
// Candidate::identity) keeps its turn. One thread at a time; memory grows with the list only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/balance/candidate.hpp"

namespace lb::balance {

class Rotation {
 public:
  explicit Rotation(size_t offset) : offset_(offset) {}

  // `total_weight` is that of all candidates; bool included(const Candidate&).
  template <typename Included>
  std::optional<size_t> next(std::span<const Candidate> candidates, uint64_t total_weight,
                             const Included& included) {
    if (credit_.size() != candidates.size()) follow(candidates);
    if (total_weight_ != total_weight) rescale(total_weight);
    Turn turn;
    for (size_t i = first_; i < candidates.size(); ++i) earn(candidates[i], i, included, turn);
    for (size_t i = 0; i < first_; ++i) earn(candidates[i], i, included, turn);
    if (turn.best == kNobody) return std::nullopt;
    credit_[turn.best] -= turn.earned;
    return turn.best;
  }

 private:
  static constexpr size_t kNobody = SIZE_MAX;
  struct Turn {
    size_t best = kNobody;
    int64_t most = INT64_MIN;
    int64_t earned = 0;
  };

  template <typename Included>
  void earn(const Candidate& candidate, size_t i, const Included& included, Turn& turn) {
    if (!included(candidate)) return;
    const auto weight = int64_t(effective_weight(candidate));
    const int64_t credit = credit_[i] += weight;
    turn.earned += weight;
    if (credit <= turn.most) return;
    turn.most = credit;
    turn.best = i;
  }

  void follow(std::span<const Candidate> candidates);
  void rescale(uint64_t total_weight);

  size_t offset_;
  size_t first_ = 0;
  uint64_t total_weight_ = 0;
  std::vector<int64_t> credit_;
  std::vector<uint64_t> identity_;  // whose credit it is
};

}  // namespace lb::balance
