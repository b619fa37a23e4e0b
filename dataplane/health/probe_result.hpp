// What one probe found out. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace lb::health {

enum class Outcome : uint8_t {
  kSuccess,
  kFailure,  // of the target
  kTimeout,  // a failure of the target as well
  kOwnWant,  // this host lacked something (descriptors, ports, memory): says nothing of the target
};

// `reason` is empty for a success; else one CamelCase word that is fit for a metric label, which
// may be followed by ": " and a detail for people.
struct ProbeResult {
  Outcome outcome = Outcome::kSuccess;
  std::string reason = {};

  bool ok() const { return outcome == Outcome::kSuccess; }
  bool operator==(const ProbeResult&) const = default;
};

// The result for an errno of a call on the probe's socket (0 is not one). `ConnectRefused`,
// `Unreachable`, `Reset`, `ConnectTimeout` (the kernel's own), `OurOwnWant: ...`, or
// `SocketError: ...` for what has no name here. See connect(2), socket(2), ip(7).
ProbeResult result_of_errno(int error);

}  // namespace lb::health
