#include "dataplane/balance/random_two.hpp"

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/selection.hpp"

namespace lb::balance {
namespace {

constexpr size_t kNobody = SIZE_MAX;

// Who owns point `at` when the selected but for `except` stand side by side, each as wide as its
// weight. `at` is less than their sum.
size_t draw(std::span<const Candidate> candidates, const Selection& selection, size_t except,
            uint64_t at) {
  size_t found = kNobody;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == except || !selection.has(candidates[i])) continue;
    found = i;
    const uint64_t width = effective_weight(candidates[i]);
    if (at < width) break;
    at -= width;
  }
  return found;
}

}  // namespace

std::optional<size_t> RandomTwo::pick(std::span<const Candidate> candidates, const PickInput& input,
                                      const PickOptions& options) {
  const Selection selection(candidates, options);
  if (selection.empty()) return std::nullopt;
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) {
    if (selection.has(candidate)) total += effective_weight(candidate);
  }
  const size_t first = draw(candidates, selection, kNobody, scale_to(input.random, total));
  const uint64_t rest = total - effective_weight(candidates[first]);
  if (rest == 0) return first;
  const size_t second = draw(candidates, selection, first, scale_to(mix(input.random), rest));
  return less_loaded(candidates[second], candidates[first]) ? second : first;
}

}  // namespace lb::balance
