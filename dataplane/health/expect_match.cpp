#include "dataplane/health/expect_match.hpp"

#include <algorithm>

namespace lb::health {

std::optional<ProbeResult> ExpectMatch::feed(std::string_view bytes) {
  // A match may begin in what came before, by all but its last byte.
  const size_t overlap = expected_.empty() ? 0 : expected_.size() - 1;
  const size_t from = held_.size() - std::min(held_.size(), overlap);
  held_ += bytes.substr(0, kMaxAnswer - held_.size());
  if (expected_.empty() && !held_.empty()) return ProbeResult{};
  if (!expected_.empty() && held_.find(expected_, from) != std::string::npos) return ProbeResult{};
  if (held_.size() >= kMaxAnswer) return at_end();
  return std::nullopt;
}

}  // namespace lb::health
