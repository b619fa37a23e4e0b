#include "dataplane/balance/random_two.hpp"

#include "dataplane/balance/draw.hpp"
#include "dataplane/balance/hash.hpp"

namespace lb::balance {

std::optional<size_t> RandomTwo::pick(std::span<const Candidate> candidates, const PickInput& input,
                                      const PickOptions& options) {
  const Selection selection(candidates, options);
  if (selection.empty()) return std::nullopt;
  const uint64_t total = selected_weight(candidates, selection);
  const size_t first = draw(candidates, selection, kNobody, scale_to(input.random, total));
  const uint64_t rest = total - effective_weight(candidates[first]);
  if (rest == 0) return first;
  const size_t second = draw(candidates, selection, first, scale_to(mix(input.random), rest));
  return less_loaded(candidates[second], candidates[first]) ? second : first;
}

}  // namespace lb::balance
