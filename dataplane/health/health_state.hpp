// The health of one target, from the results of its probes: a pure state machine.
//
// No clock, no sockets; the caller probes after next_delay() and tells each result. A value type;
// one thread. No errors: rise and fall of 0 count as 1, an interval of 0 as 1 ms.
//
//   state    result    run of such results   becomes   health changed
//   -------  --------  --------------------  --------  --------------
//   unknown  success   1                     up        yes
//   unknown  failure   1                     down      yes
//   up       success   any                   up        no (failures start again from 0)
//   up       failure   < fall                up        no (in transition)
//   up       failure   = fall                down      yes
//   down     failure   any                   down      no (successes start again from 0)
//   down     success   < rise                down      no (in transition)
//   down     success   = rise                up        yes
//   any      own want  -                     the same  no (the run stays as it is)
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/model/state.hpp"
#include "dataplane/health/probe_result.hpp"

namespace lb::health {

enum class Health : uint8_t { kUnknown, kUp, kDown };

const char* to_string(Health value);  // "unknown", "up", "down"

class HealthState {
 public:
  explicit HealthState(const HealthPolicy& policy);

  // The same health and reason under another policy; a run that was under way starts again.
  HealthState(const HealthPolicy& policy, const HealthState& before);

  // True when health() is another than before.
  bool on_result(const ProbeResult& result);

  Health health() const { return health_; }
  // Why it is down: the reason of the latest failure. Empty unless down.
  const std::string& reason() const { return reason_; }
  // Some results of the other kind, but not enough yet.
  bool in_transition() const { return contrary_ > 0; }

  // From the beginning of a probe to the beginning of the next: the interval, or a quarter of it
  // (at least 50 ms, at most the interval) in transition; minus or plus 10 % as `jitter` in [0,1)
  // says.
  std::chrono::microseconds next_delay(double jitter) const;

 private:
  void turn(Health health);

  std::chrono::milliseconds interval_;
  uint32_t rise_;
  uint32_t fall_;
  Health health_ = Health::kUnknown;
  uint32_t contrary_ = 0;  // results in a row that speak against health_
  std::string reason_;
};

}  // namespace lb::health
