// The loop with a real writer on a scripted client, and a fleet of one data plane, or of none.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <vector>

#include "controller/reconciler.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {

using namespace std::chrono_literals;
using plan::ServiceBuilder;

class ReconcilerTest : public testing::Test {
 protected:
  explicit ReconcilerTest(std::set<std::string> sources = {"kubernetes/"})
      : sources_(std::move(sources)) {
    reconciler.set_fleet(fleet);
    writer.start();
  }
  ~ReconcilerTest() override { writer.stop(); }

  Reconciler::Options options() {
    Reconciler::Options out;
    out.pools = {plan::pool("192.0.2.10-192.0.2.12")};
    out.sources = sources_;
    out.want_secrets = [this](const auto& names) { wanted_secrets = names; };
    out.secret_wait = 1s;
    out.quarantine = out.conflict = out.patch_retry = 1s;
    return out;
  }
  void sync(const std::vector<ServiceBuilder>& services) {
    std::set<std::string> keys;
    for (const auto& each : services) {
      reconciler.upsert(each.source());
      keys.insert(each.key());
    }
    reconciler.synced("kubernetes/", keys);
    run();
  }
  void contact(DesiredState held = {}) {
    reconciler.held(held);
    run();
  }
  void serve() {
    fleet.list({{"one", dataplane.address()}});
    fleet.start();
  }
  void run(std::chrono::milliseconds time = 20ms) {
    io.restart();
    io.run_for(time);
  }
  std::vector<net::HttpRequest> sent(size_t count) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (script.asked().size() < count && std::chrono::steady_clock::now() < end) run(5ms);
    return script.asked();
  }

  const std::set<std::string> sources_;
  std::set<std::string> wanted_secrets;
  asio::io_context io;
  kube::Script script;
  kube::ApiWriter writer{
      {[this] { return std::make_unique<kube::ScriptedClient>(script); }, [] {}, 100}};
  Reconciler reconciler{io, options(), &writer};
  FakeDataplane dataplane{io};
  Fleet fleet{io, {.coalesce = 1ms}, reconciler};
};

}  // namespace lb::controller
