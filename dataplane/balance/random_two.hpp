// Two different backends drawn at random by weight; the one with fewer connections for its weight
// is picked, the first drawn when they tie.
//
// Nobody can be flooded by many workers that all see the same least loaded backend. While all are
// idle the shares are exactly those of the weights in expectation. Keeps no state.
#pragma once

#include "dataplane/balance/picker.hpp"

namespace lb::balance {

class RandomTwo final : public Picker {
 public:
  std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                             const PickOptions& options) override;
};

}  // namespace lb::balance
