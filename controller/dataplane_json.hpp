// Reads what the data plane answers: status, conflicts and which certificates it has. Tolerant of
// unknown fields. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/model/result.hpp"
#include "controller/publisher.hpp"

namespace lb::controller {

Result<DataplaneStatus> decode_status(std::string_view text);

struct Refusal {
  std::string reason;
  std::string message;
  std::string pointer;
  Version held;
};
// Never fails: what cannot be read is left empty.
Refusal decode_refusal(std::string_view text);

// Fingerprints by name. Never fails: one that cannot be read is not there.
std::map<std::string, std::string> decode_certificates(std::string_view text);

}  // namespace lb::controller
