#include "dataplane/health/check.hpp"

#include <tuple>

namespace lb::health {
namespace {

auto question(const Check& check) {
  const HealthPolicy& policy = check.policy;
  return std::tie(check.target, check.proxy, policy.type, policy.port, policy.path, policy.host,
                  policy.expect_status, policy.send, policy.expect);
}

auto numbers(const HealthPolicy& policy) {
  return std::tie(policy.interval_ms, policy.timeout_ms, policy.rise, policy.fall);
}

HealthPolicy with_numbers_of(const HealthPolicy& policy) {
  HealthPolicy out;
  out.type = policy.type;
  std::tie(out.interval_ms, out.timeout_ms, out.rise, out.fall) = numbers(policy);
  return out;
}

}  // namespace

std::strong_ordering Check::operator<=>(const Check& other) const {
  if (const auto order = question(*this) <=> question(other); order != 0) return order;
  return numbers(policy) <=> numbers(other.policy);
}

bool Check::same_question(const Check& other) const { return question(*this) == question(other); }

Check check_of(const Endpoint& backend, const HealthPolicy& policy, ProxyProtocol proxy) {
  Check out{backend, {}};
  if (policy.type == HealthType::kNone) return out;
  if (policy.port != 0) out.target.port = policy.port;
  if (out.target == backend) out.proxy = proxy;
  out.policy = with_numbers_of(policy);
  switch (policy.type) {
    case HealthType::kHttp:
      out.policy.path = policy.path;
      out.policy.host = policy.host;
      out.policy.expect_status = policy.expect_status;
      break;
    case HealthType::kTls:
      // RFC 6066, section 3: an address is no server name, so it would not be sent.
      if (!IpAddress::parse(policy.host).ok()) out.policy.host = policy.host;
      break;
    case HealthType::kSendExpect:
      out.policy.send = policy.send;
      out.policy.expect = policy.expect;
      break;
    case HealthType::kTcp:
    case HealthType::kNone:
      break;
  }
  return out;
}

}  // namespace lb::health
