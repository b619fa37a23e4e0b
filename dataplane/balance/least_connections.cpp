#include "dataplane/balance/least_connections.hpp"

#include "dataplane/balance/selection.hpp"

namespace lb::balance {

std::optional<size_t> LeastConnections::pick(std::span<const Candidate> candidates,
                                             const PickInput&, const PickOptions& options) {
  const Selection selection(candidates, options);
  const Candidate* least = nullptr;
  for (const Candidate& candidate : candidates) {
    if (!selection.has(candidate)) continue;
    if (least == nullptr || less_loaded(candidate, *least)) least = &candidate;
  }
  if (least == nullptr) return std::nullopt;
  return rotation_.next(candidates, selection.total_weight(), [&](const Candidate& candidate) {
    return selection.has(candidate) && !less_loaded(*least, candidate);
  });
}

}  // namespace lb::balance
