// A world of a few Services and the plan for it; what the rules of a provider are checked on.
#pragma once

#include <gmock/gmock.h>

#include <memory>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {

class Rules : public testing::Test {
 protected:
  void put(const ServiceBuilder& service, const std::vector<EndpointSliceObject>& slices = {}) {
    world.services[service.key()] = service.source(slices);
  }
  ServicePlan plan(const ServiceBuilder& service) {
    return plan_service(world, allocator, service.key());
  }
  // The data plane has taken what is planned.
  void publish(const ServiceBuilder& service) {
    world.published[service.key()] = {std::make_shared<const Service>(*plan(service).desired), true,
                                      true, false};
  }
  // Planned, published, and written down, until nothing is left to do.
  void settle(ServiceBuilder& service, const std::vector<EndpointSliceObject>& slices = {}) {
    for (int round = 0; round < 10; ++round) {
      put(service, slices);
      const ServicePlan now = plan(service);
      if (now.desired) publish(service);
      if (!now.desired) world.published.erase(service.key());
      const ServicePlan next = plan(service);
      if (!next.patch) return;
      apply(*next.patch, service.object());
    }
    FAIL() << "does not come to rest";
  }
  static std::string address(const ServiceBuilder& service) {
    const auto& list = const_cast<ServiceBuilder&>(service).object().ingress;
    return list.empty() ? "" : list[0].ip;
  }
  static std::vector<std::string> states(const ServicePlan& plan, size_t port = 0) {
    std::vector<std::string> out;
    if (!plan.desired || plan.desired->ports.size() <= port) return out;
    for (const auto& backend : plan.desired->ports[port].backends) {
      const char* state = backend.state == BackendState::kReady      ? " ready"
                          : backend.state == BackendState::kDraining ? " draining"
                                                                     : " not ready";
      out.push_back(backend.address.to_string() + ":" + std::to_string(backend.port) + state);
    }
    return out;
  }
  static const Condition* condition(const ServicePlan& plan, const std::string& type) {
    if (!plan.patch) return nullptr;
    for (const auto& each : plan.patch->conditions) {
      if (each.type == type) return &each;
    }
    return nullptr;
  }
  static bool event(const ServicePlan& plan, const std::string& reason) {
    for (const auto& each : plan.events) {
      if (each.reason == reason) return true;
    }
    return false;
  }

  World world;
  Allocator allocator{{pool("192.0.2.10-192.0.2.13"), pool("2001:db8::10-2001:db8::13")}};
};

}  // namespace lb::plan
