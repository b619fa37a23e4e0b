#include "dataplane/health/health_state.hpp"

#include <algorithm>

namespace lb::health {

using std::chrono::microseconds;
using std::chrono::milliseconds;

const char* to_string(Health value) {
  switch (value) {
    case Health::kUp:
      return "up";
    case Health::kDown:
      return "down";
    case Health::kUnknown:
      break;
  }
  return "unknown";
}

HealthState::HealthState(const HealthPolicy& policy)
    : interval_(std::max(1u, policy.interval_ms)),
      rise_(std::max(1u, policy.rise)),
      fall_(std::max(1u, policy.fall)) {}

HealthState::HealthState(const HealthPolicy& policy, const HealthState& before)
    : HealthState(policy) {
  health_ = before.health_;
  reason_ = before.reason_;
}

bool HealthState::on_result(const ProbeResult& result) {
  if (result.outcome == Outcome::kOwnWant) return false;
  const Health says = result.ok() ? Health::kUp : Health::kDown;
  const bool first = health_ == Health::kUnknown;
  const uint32_t needed = first ? 1 : result.ok() ? rise_ : fall_;
  contrary_ = says == health_ ? 0 : contrary_ + 1;
  const bool changes = says != health_ && contrary_ >= needed;
  if (changes) turn(says);
  if (!result.ok() && health_ == Health::kDown) reason_ = result.reason;
  return changes;
}

void HealthState::turn(Health health) {
  health_ = health;
  contrary_ = 0;
  reason_.clear();
}

microseconds HealthState::next_delay(double jitter) const {
  const milliseconds quarter = std::max(interval_ / 4, milliseconds(50));
  const milliseconds base = in_transition() ? std::min(quarter, interval_) : interval_;
  const double share = 0.9 + 0.2 * std::clamp(jitter, 0.0, 1.0);
  return microseconds(static_cast<int64_t>(microseconds(base).count() * share));
}

}  // namespace lb::health
