// Reads the answer of a target piece by piece and says when it is decided. Pure: no sockets, no
// clock; the pieces may be cut anywhere. One thread. Used once, until the first result.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "dataplane/health/probe_result.hpp"

namespace lb::health {

class Judge {
 public:
  static constexpr size_t kMaxAnswer = 16 * 1024;  // bytes; what comes after is not looked at

  virtual ~Judge() = default;

  // The next bytes; nullopt as long as more are needed.
  virtual std::optional<ProbeResult> feed(std::string_view bytes) = 0;
  // The target sent all it had, and nothing was decided.
  virtual ProbeResult at_end() const = 0;
};

}  // namespace lb::health
