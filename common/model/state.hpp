// The desired state: what sources describe, the controller publishes and the data plane serves.
//
// Plain values with ==. A decoded document is always normalised (see normalise()): lists sorted,
// defaults filled in, port policies already merged over the service's, so equal meaning is equal
// value, and (after encoding) equal bytes. No I/O, no JSON here; see state_json.hpp for the wire.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/shared_list.hpp"
#include "common/model/tls_policy.hpp"

namespace lb {

inline constexpr char kSchema[] = "empalme.io/v1";

enum class Protocol : uint8_t { kTcp, kUdp };
enum class BackendState : uint8_t { kReady, kDraining, kNotReady };
enum class Balance : uint8_t { kRoundRobin, kLeastConnections, kRandomTwo, kMaglev };
enum class WhenEmpty : uint8_t { kReset, kWait };
enum class ProxyProtocol : uint8_t { kOff, kV1, kV2 };
enum class HealthType : uint8_t { kNone, kTcp, kHttp, kTls, kSendExpect };
enum class Mode : uint8_t { kProxy, kKernel };

// Names as on the wire ("tcp", "not_ready", "round_robin", ...).
const char* to_string(Protocol value);
const char* to_string(BackendState value);
const char* to_string(Balance value);
const char* to_string(WhenEmpty value);
const char* to_string(ProxyProtocol value);
const char* to_string(HealthType value);
const char* to_string(Mode value);

struct HealthPolicy {
  HealthType type = HealthType::kNone;
  uint32_t interval_ms = 2000;
  uint32_t timeout_ms = 1000;
  uint32_t rise = 2;
  uint32_t fall = 3;
  uint16_t port = 0;  // 0: the backend's own
  std::string path = "/";
  std::string host;
  uint16_t expect_status = 200;
  std::string send;
  std::string expect;
  uint32_t panic_percent = 0;  // below so many usable, all are used; 0: never

  bool operator==(const HealthPolicy&) const = default;
};

// Passive ejection: consecutive failures of a kind before a backend is left out; 0 = never.
struct EjectionPolicy {
  uint32_t refused = 3;
  uint32_t timeouts = 1;
  uint32_t seconds = 5;

  bool operator==(const EjectionPolicy&) const = default;
};

// Every field has the documented default; units are in the names.
struct Policy {
  Balance balance = Balance::kRoundRobin;
  uint32_t affinity_seconds = 0;
  std::vector<Cidr> source_ranges;  // empty: everyone; see client_access.hpp
  std::vector<Cidr> deny_ranges;    // empty: no one
  uint32_t connect_timeout_ms = 1250;
  uint32_t connect_attempts = 3;
  uint32_t hedge_ms = 0;
  bool retry_before_first_byte = false;
  uint32_t idle_timeout_s = 0;  // 0: off
  bool half_close = true;
  uint32_t half_closed_timeout_s = 300;
  uint32_t drain_s = 30;
  uint32_t delete_drain_s = 0;
  WhenEmpty when_empty = WhenEmpty::kReset;
  uint32_t empty_wait_ms = 0;
  ProxyProtocol proxy_protocol = ProxyProtocol::kOff;
  std::vector<Cidr> accept_proxy_from;
  uint32_t max_connections = 0;  // 0: no limit, as for the next two
  uint32_t max_connections_per_source = 0;
  uint32_t max_rate_per_source = 0;
  uint32_t udp_idle_s = 60;
  HealthPolicy health;
  EjectionPolicy ejection;
  uint32_t slow_start_s = 0;
  bool prefer_zone = false;
  bool sticky_groups = false;  // a client's connections all go to one group
  std::string congestion;
  uint32_t busy_poll_us = 0;
  Mode mode = Mode::kProxy;

  bool operator==(const Policy&) const = default;
};

struct Backend {
  IpAddress address;
  uint16_t port = 0;
  uint16_t weight = 1;
  BackendState state = BackendState::kReady;
  std::string name;
  std::string node;
  std::string zone;
  std::string group;  // of its port's; empty where the port has none

  Endpoint endpoint() const { return {address, port}; }
  bool operator==(const Backend&) const = default;
};

// Which connections of an address and port a service is for, beside others there; see match.hpp.
struct Match {
  std::vector<std::string> names;  // that TLS clients ask for; empty: any, and none
  std::vector<Cidr> sources;       // empty: any

  bool empty() const { return names.empty() && sources.empty(); }

  auto operator<=>(const Match&) const = default;
};

inline constexpr size_t kMaxGroups = 64;  // of one port

// A share of a port's clients that holds while backends come and go.
struct BackendGroup {
  std::string name;
  uint16_t weight = 1;  // beside the other groups; what its backends weigh is among themselves
  std::vector<Cidr> sources;  // clients from there go to this group, whatever the weights

  bool operator==(const BackendGroup&) const = default;
};

struct ServicePort {
  std::string name;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::vector<Backend> backends;
  Policy policy;  // effective: the service's, overridden field by field by the port's
  Match match;
  std::vector<BackendGroup> groups;
  TlsPolicy tls;

  bool operator==(const ServicePort&) const = default;
};

struct Service {
  std::string key;  // "<source>/<namespace>/<name>" for Kubernetes, "<source>/<name>" elsewhere
  std::vector<IpAddress> addresses;
  std::vector<ServicePort> ports;
  Policy policy;

  bool operator==(const Service&) const = default;
};

// The order of documents (design, section 2): compared as a pair; nothing held is {0, 0}.
struct Version {
  uint64_t epoch = 0;
  uint64_t generation = 0;

  auto operator<=>(const Version&) const = default;
};

// Unchanged services are shared between one state and the next.
using ServiceList = SharedList<Service>;

struct DesiredState {
  Version version;
  ServiceList services;

  bool operator==(const DesiredState&) const = default;
};

// A change relative to `base_generation` of the same epoch.
struct StatePatch {
  uint64_t epoch = 0;
  uint64_t base_generation = 0;
  uint64_t generation = 0;
  ServiceList changed;
  std::vector<std::string> removed;

  bool operator==(const StatePatch&) const = default;
};

// One listener or backend that could not be programmed, as reported on the wire.
struct Failure {
  std::string key;
  IpAddress address;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string backend;  // "address:port"; empty when the listener is meant
  std::string reason;   // AddressInUse, PortTakenOnNode, PermissionDenied, AddressNotLocal, ...
  std::string message;
  Match match = {};  // of the listener

  bool operator==(const Failure&) const = default;
};

// The answer to an accepted PUT or PATCH.
struct ApplyResult {
  Version version;
  std::vector<Failure> failed;

  bool operator==(const ApplyResult&) const = default;
};

inline bool is_kubernetes_key(std::string_view key) { return key.starts_with("kubernetes/"); }

// Sorts every list as the design orders it. Idempotent. Does not look for duplicates.
void normalise(Service& service);
void normalise(DesiredState& state);

}  // namespace lb
