// Smooth weighted round robin over those who may be picked. See rotation.hpp and selection.hpp.
//
// The hot path of the proxy: two passes over the list, no call through a pointer, no allocation.
#pragma once

#include "dataplane/balance/picker.hpp"
#include "dataplane/balance/rotation.hpp"

namespace lb::balance {

class RoundRobin final : public Picker {
 public:
  explicit RoundRobin(size_t offset = 0) : rotation_(offset) {}

  std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                             const PickOptions& options) override;

 private:
  Rotation rotation_;
};

}  // namespace lb::balance
