#include "dataplane/balance/another.hpp"

#include <algorithm>
#include <vector>

#include "dataplane/balance/draw.hpp"
#include "dataplane/balance/hash.hpp"

namespace lb::balance {

void leave_out_nodes(std::span<Candidate> candidates, std::span<const uint32_t> nodes,
                     const PickOptions& options) {
  if (nodes.size() != candidates.size()) return;
  std::vector<uint32_t> failed;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].tried && nodes[i] != 0) failed.push_back(nodes[i]);
  }
  if (failed.empty()) return;
  const auto is_there = [&](size_t i) {
    return std::find(failed.begin(), failed.end(), nodes[i]) != failed.end();
  };
  const Selection selection(candidates, options);
  bool elsewhere = false;
  for (size_t i = 0; i < candidates.size() && !elsewhere; ++i) {
    elsewhere = selection.has(candidates[i]) && !is_there(i);
  }
  if (!elsewhere) return;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (is_there(i)) candidates[i].tried = true;
  }
}

bool stay_in_group(std::span<Candidate> candidates, uint16_t group) {
  const bool left = std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& each) {
    return each.group == group && !each.tried && !each.ejected && each.weight > 0 &&
           each.state == BackendState::kReady && each.health != Health::kDown;
  });
  if (!left) return false;
  for (Candidate& each : candidates) {
    if (each.group != group) each.weight = 0;
  }
  return true;
}

std::optional<size_t> draw_another(std::span<const Candidate> candidates, uint64_t random,
                                   const PickOptions& options) {
  const Selection selection(candidates, options);
  if (selection.empty()) return std::nullopt;
  const uint64_t total = selected_weight(candidates, selection);
  return draw(candidates, selection, kNobody, scale_to(random, total));
}

}  // namespace lb::balance
