// What one probe found out. Plain values; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lb::health {

enum class Outcome : uint8_t {
  kSuccess,
  kFailure,  // of the target
  kTimeout,  // a failure of the target as well
  kOwnWant,  // this host lacked something (descriptors, ports, memory, time): says nothing of it
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

// The result for a deadline that is looked at `late` after it was due, `timeout` after the probe
// had begun: `Timeout`, or `ConnectTimeout` while it was not `connected`. Later than 250 ms and a
// quarter of the timeout, our thread had no time, and an answer may lie there unread:
// `OurOwnWant: ...`.
ProbeResult result_of_deadline(std::chrono::nanoseconds late, std::chrono::milliseconds timeout,
                               bool connected);

}  // namespace lb::health
