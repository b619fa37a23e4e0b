// Smooth weighted round robin over one listener's backends, in the design's picking order.
//
// Not yet ejected and not yet tried: first those that are ready, then those that drain; the
// ejected come last, in the same order. Weight 0 is never picked. One object per worker and
// listener; `offset` keeps workers from starting at the same backend. Pure; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/model/state.hpp"

namespace lb::balance {

struct Candidate {
  uint16_t weight = 1;
  BackendState state = BackendState::kReady;
  bool ejected = false;
  bool tried = false;
};

class RoundRobin {
 public:
  explicit RoundRobin(size_t offset = 0) : offset_(offset) {}

  // Index into `candidates`, or nullopt when nobody is left. Shares follow the weights exactly
  // over each cycle as long as the set of candidates stays.
  std::optional<size_t> pick(const std::vector<Candidate>& candidates);

 private:
  using Tier = std::function<bool(const Candidate&)>;
  std::optional<size_t> pick_among(const std::vector<Candidate>& candidates, const Tier& tier);
  void resize(size_t count);

  size_t offset_;
  std::vector<int64_t> credit_;
};

}  // namespace lb::balance
