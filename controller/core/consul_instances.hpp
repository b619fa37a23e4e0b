// What Consul's catalogue and health endpoints say, as far as services are made of it.
//
// Decodes the answers to GET /v1/catalog/services and /v1/health/service/NAME (Consul 1.0 and
// later). Unknown fields are ignored. An answer of another shape is an Error{"InvalidObject"}; in a
// list, an instance that cannot be read is told of on its own, and costs the others nothing. Pure;
// any thread; never throws.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"

namespace lb::plan {

// The worst of an instance's checks and its node's. Maintenance is the least of the bad ones: an
// instance that is critical besides cannot serve.
enum class ConsulHealth : uint8_t { kPassing, kWarning, kMaintenance, kCritical };

struct ConsulInstance {
  std::string id;       // of the service, unique on its node
  std::string node;     // its name
  std::string address;  // the service's own, else its node's
  uint16_t port = 0;    // 0: none was registered
  std::vector<std::string> tags;
  std::string zone;
  std::string kind;  // empty: a service as such; "connect-proxy", ...
  uint16_t passing_weight = 1;
  uint16_t warning_weight = 1;
  uint64_t modified = 0;  // Consul's index at which its registration last changed
  ConsulHealth health = ConsulHealth::kPassing;

  // Unique in a datacentre.
  std::string key() const { return node + "/" + id; }
  bool operator==(const ConsulInstance&) const = default;
};

struct UnreadInstance {
  std::string key;  // as ConsulInstance's; empty where not even that can be read
  Error error;
};

struct ConsulInstances {
  std::vector<ConsulInstance> instances;
  std::vector<UnreadInstance> unread;
};

Result<ConsulInstances> decode_consul_instances(std::string_view text);

// Names of services among whose tags is one that begins empalme.enable: an instance of theirs may
// ask to be served.
Result<std::set<std::string>> decode_consul_services(std::string_view text);

}  // namespace lb::plan
