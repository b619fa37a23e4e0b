#include "common/model/state.hpp"

#include <algorithm>
#include <tuple>

namespace lb {
namespace {

template <class List, class Key>
void sort_by(List& list, Key key) {
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
}

void normalise(Policy& policy) {
  std::sort(policy.source_ranges.begin(), policy.source_ranges.end());
  std::sort(policy.deny_ranges.begin(), policy.deny_ranges.end());
  std::sort(policy.accept_proxy_from.begin(), policy.accept_proxy_from.end());
}

// The order of `alpn` is a preference.
void normalise(TlsPolicy& tls) {
  std::sort(tls.certificates.begin(), tls.certificates.end());
  std::sort(tls.client_authorities.begin(), tls.client_authorities.end());
  if (tls.backend) std::sort(tls.backend->authorities.begin(), tls.backend->authorities.end());
}

void normalise(ServicePort& port) {
  normalise(port.policy);
  std::sort(port.match.names.begin(), port.match.names.end());
  std::sort(port.match.sources.begin(), port.match.sources.end());
  normalise(port.tls);
  for (auto& group : port.groups) std::sort(group.sources.begin(), group.sources.end());
  sort_by(port.groups, [](const BackendGroup& g) -> const std::string& { return g.name; });
  sort_by(port.backends, [](const Backend& b) { return b.endpoint(); });
}

}  // namespace

const char* to_string(Protocol value) { return value == Protocol::kTcp ? "tcp" : "udp"; }

const char* to_string(BackendState value) {
  static constexpr const char* kNames[] = {"ready", "draining", "not_ready"};
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(Balance value) {
  static constexpr const char* kNames[] = {"round_robin", "least_connections", "random_two",
                                           "maglev"};
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(WhenEmpty value) { return value == WhenEmpty::kReset ? "reset" : "wait"; }

const char* to_string(ProxyProtocol value) {
  static constexpr const char* kNames[] = {"off", "v1", "v2"};
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(HealthType value) {
  static constexpr const char* kNames[] = {"none", "tcp", "http", "tls", "send_expect"};
  return kNames[static_cast<size_t>(value)];
}

const char* to_string(Mode value) { return value == Mode::kProxy ? "proxy" : "kernel"; }

void normalise(Service& service) {
  normalise(service.policy);
  std::sort(service.addresses.begin(), service.addresses.end());
  for (auto& port : service.ports) normalise(port);
  sort_by(service.ports,
          [](const ServicePort& p) { return std::tie(p.port, p.protocol, p.match); });
}

void normalise(DesiredState& state) {
  for (size_t i = 0; i < state.services.size(); ++i) normalise(state.services.edit(i));
  state.services.sort([](const Service& a, const Service& b) { return a.key < b.key; });
}

}  // namespace lb
