// Instances of Consul for tests, said in a line each.
#pragma once

#include <string>
#include <utility>

#include "controller/core/consul_services.hpp"

namespace lb::plan::test {

class InstanceBuilder {
 public:
  InstanceBuilder(const std::string& id, const std::string& address, uint16_t port) {
    out_.id = id;
    out_.node = "n1";
    out_.address = address;
    out_.port = port;
    out_.modified = 10;
  }
  InstanceBuilder& tag(const std::string& text) { return out_.tags.push_back(text), *this; }
  InstanceBuilder& enabled() { return tag("empalme.enable=true"); }
  InstanceBuilder& health(ConsulHealth health) { return out_.health = health, *this; }
  InstanceBuilder& critical() { return health(ConsulHealth::kCritical); }
  InstanceBuilder& weights(uint16_t passing, uint16_t warning) {
    out_.passing_weight = passing;
    out_.warning_weight = warning;
    return *this;
  }
  InstanceBuilder& on(const std::string& node) { return out_.node = node, *this; }
  InstanceBuilder& zone(const std::string& zone) { return out_.zone = zone, *this; }
  InstanceBuilder& kind(const std::string& kind) { return out_.kind = kind, *this; }
  InstanceBuilder& modified(uint64_t at) { return out_.modified = at, *this; }

  operator ConsulInstance() const { return out_; }  // NOLINT(implicit)

 private:
  ConsulInstance out_;
};

// Asks for listener 80.
inline InstanceBuilder web(const std::string& id, const std::string& address) {
  return InstanceBuilder(id, address, 8080).enabled().tag("empalme.tcp.80");
}

}  // namespace lb::plan::test
