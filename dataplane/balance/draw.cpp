#include "dataplane/balance/draw.hpp"

namespace lb::balance {

uint64_t selected_weight(std::span<const Candidate> candidates, const Selection& selection) {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) {
    if (selection.has(candidate)) total += effective_weight(candidate);
  }
  return total;
}

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

}  // namespace lb::balance
