#include "controller/core/trim.hpp"

#include <algorithm>
#include <functional>

namespace lb::plan {
namespace {

constexpr char kReason[] = "UnsupportedByDataPlane";

// One field of a policy: its feature name as it stands, whether it asks for anything, and how it
// falls back.
struct FieldRule {
  std::function<std::string(const Policy&)> feature;
  std::function<bool(const Policy&)> asks;
  std::function<void(Policy&)> reset;
  bool blocks = false;
};

template <class T>
FieldRule plain(const char* name, T Policy::*field, bool blocks = false) {
  return {[name](const Policy&) { return std::string("policy.") + name; },
          [field](const Policy& policy) { return policy.*field != Policy{}.*field; },
          [field](Policy& policy) { policy.*field = Policy{}.*field; }, blocks};
}

template <class T>
FieldRule valued(const char* name, T Policy::*field) {
  FieldRule out = plain(name, field);
  out.feature = [name, field](const Policy& policy) {
    return std::string("policy.") + name + "=" + to_string(policy.*field);
  };
  return out;
}

const std::vector<FieldRule>& rules() {
  static const std::vector<FieldRule> kRules = [] {
    std::vector<FieldRule> out{
        valued("balance", &Policy::balance),
        plain("affinity_seconds", &Policy::affinity_seconds),
        plain("source_ranges", &Policy::source_ranges, true),
        plain("deny_ranges", &Policy::deny_ranges, true),
        plain("hedge_ms", &Policy::hedge_ms),
        plain("retry_before_first_byte", &Policy::retry_before_first_byte),
        valued("when_empty", &Policy::when_empty),
        valued("proxy_protocol", &Policy::proxy_protocol),
        plain("accept_proxy_from", &Policy::accept_proxy_from, true),
        plain("max_connections", &Policy::max_connections),
        plain("max_connections_per_source", &Policy::max_connections_per_source),
        plain("max_rate_per_source", &Policy::max_rate_per_source),
        plain("ejection", &Policy::ejection),
        plain("slow_start_s", &Policy::slow_start_s),
        plain("prefer_zone", &Policy::prefer_zone),
        plain("sticky_groups", &Policy::sticky_groups),
        plain("congestion", &Policy::congestion),
        plain("busy_poll_us", &Policy::busy_poll_us),
        valued("mode", &Policy::mode),
    };
    FieldRule health = plain("health", &Policy::health);
    health.feature = [](const Policy& policy) {
      return std::string("policy.health.type=") + to_string(policy.health.type);
    };
    out.push_back(std::move(health));
    out.push_back({[](const Policy&) { return std::string("policy.health.panic_percent"); },
                   [](const Policy& policy) { return policy.health.panic_percent != 0; },
                   [](Policy& policy) { policy.health.panic_percent = 0; }});
    return out;
  }();
  return kRules;
}

void trim_policy(Policy& policy, const std::set<std::string>& features,
                 std::set<std::string>& missing, bool& blocks) {
  for (const auto& rule : rules()) {
    if (!rule.asks(policy) || features.contains(rule.feature(policy))) continue;
    missing.insert(rule.feature(policy));
    blocks = blocks || rule.blocks;
    rule.reset(policy);
  }
}

// Shares then follow the weights of backends, but for groups that were to have nobody.
bool drop_groups(ServicePort& port) {
  if (port.groups.empty()) return false;
  for (auto& backend : port.backends) {
    const bool unused = std::any_of(port.groups.begin(), port.groups.end(), [&](const auto& group) {
      return group.weight == 0 && group.name == backend.group;
    });
    if (unused) backend.weight = 0;
    backend.group.clear();
  }
  port.groups.clear();
  return true;
}

Problem not_served(const ServicePort& port, const std::string& feature) {
  return {kReason, "the data plane does not understand " + feature, port.port,
          port.protocol == Protocol::kUdp ? "UDP" : "TCP"};
}

// Without its match a port would be for everybody.
void trim_matches(Service& service, const std::set<std::string>& features,
                  std::vector<Problem>& problems) {
  std::erase_if(service.ports, [&](const ServicePort& port) {
    if (port.match.empty() || features.contains("ports.match")) return false;
    problems.push_back(not_served(port, "ports.match"));
    return true;
  });
}

// What a port cannot do without, and is missing; empty: nothing. In plain it would be no port that
// ends TLS, and without its authorities one for everybody.
std::string missing_of(const TlsPolicy& tls, const std::set<std::string>& features) {
  const std::pair<const char*, bool> asked[] = {
      {"ports.tls.mode=terminate", true},
      {"ports.tls.client_authorities", !tls.client_authorities.empty()},
      {"ports.tls.backend", tls.backend.has_value()},
  };
  for (const auto& [feature, wanted] : asked) {
    if (wanted && !features.contains(feature)) return feature;
  }
  return {};
}

void trim_tls(Service& service, const std::set<std::string>& features,
              std::vector<Problem>& problems) {
  std::erase_if(service.ports, [&](const ServicePort& port) {
    if (port.tls.mode != TlsMode::kTerminate) return false;
    const std::string missing = missing_of(port.tls, features);
    if (!missing.empty()) problems.push_back(not_served(port, missing));
    return !missing.empty();
  });
  bool no_alpn = false;
  for (auto& port : service.ports) {
    // Whoever does not know of passing through does just that.
    const bool known = features.contains("ports.tls.mode=passthrough");
    if (port.tls.mode == TlsMode::kPassthrough && !known) port.tls = {};
    if (port.tls.alpn.empty() || features.contains("ports.tls.alpn")) continue;
    port.tls.alpn.clear();
    no_alpn = true;
  }
  if (no_alpn) problems.push_back({kReason, "the data plane does not understand ports.tls.alpn"});
}

}  // namespace

void trim(Service& service, const std::set<std::string>& features, std::vector<Problem>& problems) {
  if (features.empty()) return;
  std::erase_if(service.ports, [&](const ServicePort& port) {
    const std::string name = to_string(port.protocol);
    if (features.contains("protocol=" + name)) return false;
    problems.push_back({kReason, "the data plane does not serve " + name, port.port,
                        port.protocol == Protocol::kUdp ? "UDP" : "TCP"});
    return true;
  });
  trim_matches(service, features, problems);
  trim_tls(service, features, problems);
  std::set<std::string> missing;
  bool blocks = false;
  trim_policy(service.policy, features, missing, blocks);
  for (auto& port : service.ports) {
    trim_policy(port.policy, features, missing, blocks);
    if (!features.contains("ports.groups") && drop_groups(port)) missing.insert("ports.groups");
  }
  for (const auto& name : missing) {
    problems.push_back({kReason, "the data plane does not understand " + name, 0, {}, blocks});
  }
}

}  // namespace lb::plan
