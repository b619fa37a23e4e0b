// The backend with the fewest connections for its weight; those that tie take turns by weight.
//
// `connections` must be what is open now, over all workers. While all are idle this is smooth
// weighted round robin.
#pragma once

#include "dataplane/balance/picker.hpp"
#include "dataplane/balance/rotation.hpp"

namespace lb::balance {

class LeastConnections final : public Picker {
 public:
  explicit LeastConnections(size_t offset = 0) : rotation_(offset) {}

  std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                             const PickOptions& options) override;

 private:
  Rotation rotation_;
};

}  // namespace lb::balance
