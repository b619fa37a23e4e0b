// Builders of Kubernetes services as the plan sees them, and of worlds around them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller/core/plan.hpp"

namespace lb::plan {

inline IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }
inline AddressRange pool(const char* text) { return AddressRange::parse(text).value(); }

class ServiceBuilder {
 public:
  explicit ServiceBuilder(std::string name) {
    object_.meta.ns = "default";
    object_.meta.name = std::move(name);
    object_.meta.uid = "uid-" + object_.meta.name;
    object_.meta.resource_version = "1";
    object_.meta.creation_time = "2026-01-01T00:00:00Z";
    object_.type = "LoadBalancer";
    object_.load_balancer_class = kDefaultClass;
    object_.meta.finalizers = {kFinalizer, kStandardFinalizer};
  }
  ServiceBuilder& unmarked() { return object_.meta.finalizers.clear(), *this; }
  ServiceBuilder& created(std::string time) {
    return object_.meta.creation_time = std::move(time), *this;
  }
  ServiceBuilder& type(std::string type) { return object_.type = std::move(type), *this; }
  ServiceBuilder& unclassed() { return object_.load_balancer_class.reset(), *this; }
  ServiceBuilder& classed(std::string name) { return object_.load_balancer_class = name, *this; }
  ServiceBuilder& deleting() { return object_.meta.deletion_time = "2026-01-02T00:00:00Z", *this; }
  ServiceBuilder& port(uint16_t port, std::string protocol = "TCP") {
    object_.ports.push_back({"p" + std::to_string(port), std::move(protocol), port, "8080", 0});
    return *this;
  }
  ServiceBuilder& requests(std::string address) {
    return object_.load_balancer_ip = std::move(address), *this;
  }
  ServiceBuilder& annotated(std::string name, std::string value) {
    return object_.meta.annotations[std::move(name)] = std::move(value), *this;
  }
  ServiceBuilder& status(std::string address) {
    object_.ingress.push_back({std::move(address), {}, "Proxy", {}});
    return *this;
  }
  ServiceBuilder& families(std::vector<std::string> families, std::string policy = {}) {
    object_.ip_families = std::move(families);
    object_.ip_family_policy = std::move(policy);
    return *this;
  }
  ServiceBuilder& source_range(std::string range) {
    return object_.source_ranges.push_back(std::move(range)), *this;
  }
  ServiceBuilder& distributed(std::string asked) {
    return object_.traffic_distribution = std::move(asked), *this;
  }
  ServiceBuilder& affinity() { return object_.session_affinity = "ClientIP", *this; }

  const ServiceObject& object() const { return object_; }
  ServiceObject& object() { return object_; }
  std::string key() const { return kubernetes_key(object_.meta.ns, object_.meta.name); }
  SourceService source(const std::vector<EndpointSliceObject>& slices = {}) const {
    return from_kubernetes(object_, slices);
  }

 private:
  ServiceObject object_;
};

inline ServiceBuilder service(const std::string& name) { return ServiceBuilder(name).port(80); }

class SliceBuilder {
 public:
  explicit SliceBuilder(const std::string& service, const std::string& name = "slice") {
    object_.meta.ns = "default";
    object_.meta.name = name;
    object_.meta.labels["kubernetes.io/service-name"] = service;
  }
  SliceBuilder& port(std::optional<std::string> name, uint16_t number) {
    return object_.ports.push_back({std::move(name), "TCP", number}), *this;
  }
  SliceBuilder& v6() { return object_.address_type = "IPv6", *this; }
  SliceBuilder& endpoint(const std::string& address, std::optional<bool> ready = std::nullopt,
                         std::optional<bool> serving = std::nullopt,
                         std::optional<bool> terminating = std::nullopt) {
    SliceEndpoint out;
    out.addresses = {address};
    out.ready = ready;
    out.serving = serving;
    out.terminating = terminating;
    out.target_name = "pod-" + address;
    object_.endpoints.push_back(std::move(out));
    return *this;
  }
  // Where the last endpoint is, and whom the hints send to it.
  SliceBuilder& in_zone(std::string zone, std::vector<std::string> hinted = {}) {
    object_.endpoints.back().zone = std::move(zone);
    object_.endpoints.back().hinted_zones = std::move(hinted);
    return *this;
  }
  operator EndpointSliceObject() const { return object_; }  // NOLINT(implicit)

 private:
  EndpointSliceObject object_;
};

// Does what the API server does with a patch, so that a plan can be planned again on its result.
inline void apply(const ServicePatch& patch, ServiceObject& object) {
  auto& finalizers = object.meta.finalizers;
  for (const auto& name : patch.add_finalizers) finalizers.push_back(name);
  for (const auto& name : patch.remove_finalizers) std::erase(finalizers, name);
  if (patch.ingress) object.ingress = *patch.ingress;
  for (const auto& condition : patch.conditions) {
    std::erase_if(object.conditions, [&](auto& each) { return each.type == condition.type; });
    object.conditions.push_back(condition);
  }
  for (const auto& type : patch.remove_conditions) {
    std::erase_if(object.conditions, [&](auto& each) { return each.type == type; });
  }
  object.meta.resource_version += "1";
}

}  // namespace lb::plan
