// A cluster of three Services that a controller serves, and the law that holds after every fault:
// a change still arrives, nobody's address has changed, and a controller that starts afresh would
// publish the very same.
#pragma once

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "controller/kube/api_requests.hpp"
#include "tests/unit/controller/faults/controller_rig.hpp"

namespace lb::controller {

using test::Json;

class FaultsTest : public testing::Test {
 protected:
  using Clock = std::chrono::steady_clock;

  void SetUp() override {
    write_token("first");
    for (const char* name : {"web", "dns", "late"}) {
      put_service(name, name == std::string("late") ? "2026-01-02T00:00:00Z" : nullptr);
      put_slice(name, "10.0.0.1");
    }
    rig = std::make_unique<ControllerRig>(io, server.url(), token_file);
    ASSERT_TRUE(until([this] { return addresses().size() == 3 && settled(*rig); }));
    ASSERT_TRUE(server.wait_watching(3));
    before = addresses();
  }
  void TearDown() override {
    rig.reset();
    std::filesystem::remove(token_file);
  }

  void write_token(const std::string& token) { std::ofstream(token_file) << token; }

  void put_service(const std::string& name, const char* created = nullptr) {
    server.with([&](auto& cluster) {
      cluster.put(kube::kServices,
                  {{"metadata",
                    {{"namespace", "d"},
                     {"name", name},
                     {"creationTimestamp", created ? created : "2026-01-01T00:00:00Z"}}},
                   {"spec",
                    {{"type", "LoadBalancer"},
                     {"loadBalancerClass", "empalme.io/lb"},
                     {"ports", {{{"name", "p"}, {"port", 80}, {"protocol", "TCP"}}}}}}});
    });
  }
  void put_slice(const std::string& service, const std::string& address) {
    server.with([&](auto& cluster) {
      cluster.put(kube::kEndpointSlices,
                  {{"metadata",
                    {{"namespace", "d"},
                     {"name", service + "-1"},
                     {"labels", {{"kubernetes.io/service-name", service}}}}},
                   {"addressType", "IPv4"},
                   {"ports", {{{"name", "p"}, {"port", 8080}, {"protocol", "TCP"}}}},
                   {"endpoints", {{{"addresses", {address}}, {"conditions", {{"ready", true}}}}}}});
    });
  }
  void remove(const char* resource, const std::string& name) {
    server.with([&](auto& cluster) { cluster.remove(resource, "d", name); });
  }

  // Of the Services that have one in their status.
  std::map<std::string, std::string> addresses() {
    return server.with([](auto& cluster) {
      std::map<std::string, std::string> out;
      for (const Json& service : cluster.list(kube::kServices)) {
        const Json none = Json::array();
        for (const Json& each : service.value("/status/loadBalancer/ingress"_json_pointer, none)) {
          out[service["metadata"]["name"]] += each.value("ip", "") + " ";
        }
      }
      return out;
    });
  }
  static std::string key(const std::string& name) { return "kubernetes/d/" + name; }

  bool until(const std::function<bool()>& holds,
             std::chrono::seconds limit = std::chrono::seconds(20)) {
    const auto end = Clock::now() + limit;
    io.restart();
    while (!holds() && Clock::now() < end) io.run_one_for(std::chrono::milliseconds(5));
    return holds();
  }
  void run(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }

  // All that the cluster wants served is, with the addresses of the statuses.
  bool settled(const ControllerRig& of) {
    const auto wanted = addresses();
    if (of.published().size() != wanted.size()) return false;
    for (const auto& [name, address] : wanted) {
      const Service* service = of.published(key(name));
      if (service == nullptr || service->addresses.empty()) return false;
      if (service->addresses[0].to_string() + " " != address) return false;
    }
    return true;
  }

  // The law. Says how long it took until a change made now arrived.
  void recovers(std::chrono::seconds limit = std::chrono::seconds(20)) {
    const auto began = Clock::now();
    put_slice("web", "10.0.0.77");
    const bool heard =
        until([this] { return rig->publishes(key("web"), "10.0.0.77") && settled(*rig); }, limit);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    std::printf("recovered in %lld ms\n", static_cast<long long>(took.count()));
    ASSERT_TRUE(heard) << "deaf";
    EXPECT_EQ(addresses(), before);
    like_a_fresh_start();
  }
  void like_a_fresh_start() {
    ControllerRig fresh(io, server.url(), token_file);
    ASSERT_TRUE(until([&] { return settled(fresh) && fresh.reconciler.ready(); }));
    run(std::chrono::milliseconds(30));
    EXPECT_EQ(fresh.published(), rig->published());
    EXPECT_EQ(fresh.reconciler.counters().patches, 0u) << "a status was not as it should be";
  }

  const std::string token_file = testing::TempDir() + "/token-" + std::to_string(getpid()) + "-" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name();
  test::FakeApiServer server;
  asio::io_context io;
  std::unique_ptr<ControllerRig> rig;
  std::map<std::string, std::string> before;
};

}  // namespace lb::controller
