// Looks for bytes anywhere in the first 16 KiB of an answer; any byte will do when none are asked
// for. Reasons: `NoMatch` (also when the target closes without them).
#pragma once

#include <string>
#include <utility>

#include "dataplane/health/judge.hpp"

namespace lb::health {

class ExpectMatch : public Judge {
 public:
  explicit ExpectMatch(std::string expected) : expected_(std::move(expected)) {}

  std::optional<ProbeResult> feed(std::string_view bytes) override;
  ProbeResult at_end() const override { return {Outcome::kFailure, "NoMatch"}; }

 private:
  const std::string expected_;
  std::string held_;
};

}  // namespace lb::health
