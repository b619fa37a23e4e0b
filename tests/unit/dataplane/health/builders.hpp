// Policies and checks for the tests of health checking: what a test does not name is quick.
#pragma once

#include <string>
#include <utility>

#include "dataplane/health/check.hpp"

namespace lb::health {

inline HealthPolicy policy_of(HealthType type) {
  HealthPolicy out;
  out.type = type;
  out.interval_ms = 20;
  out.timeout_ms = 5000;
  out.rise = 2;
  out.fall = 3;
  return out;
}

inline HealthPolicy http_policy(std::string path = "/") {
  HealthPolicy out = policy_of(HealthType::kHttp);
  out.path = std::move(path);
  return out;
}

inline HealthPolicy send_expect_policy(std::string send, std::string expect) {
  HealthPolicy out = policy_of(HealthType::kSendExpect);
  out.send = std::move(send);
  out.expect = std::move(expect);
  return out;
}

inline Endpoint endpoint(const std::string& text) { return parse_endpoint(text).value(); }

}  // namespace lb::health
