#include "dataplane/balance/round_robin.hpp"

#include "dataplane/balance/selection.hpp"

namespace lb::balance {

std::optional<size_t> RoundRobin::pick(std::span<const Candidate> candidates, const PickInput&,
                                       const PickOptions& options) {
  const Selection selection(candidates, options);
  if (selection.empty()) return std::nullopt;
  return rotation_.next(candidates, selection.total_weight(),
                        [&](const Candidate& candidate) { return selection.has(candidate); });
}

}  // namespace lb::balance
