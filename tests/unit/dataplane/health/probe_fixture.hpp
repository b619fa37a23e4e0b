// Runs single probes against servers on the same thread's io_context.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>

#include "dataplane/health/probe_starter.hpp"
#include "tests/support/fake_target.hpp"
#include "tests/unit/dataplane/health/builders.hpp"

namespace lb::health {

class ProbeTest : public testing::Test {
 protected:
  // False when `done` does not come true within ten seconds.
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(100));
    }
    return done();
  }

  // The outcome of one probe; fails the test when there is none.
  ProbeResult probe(const Endpoint& target, const HealthPolicy& policy,
                    ProxyProtocol proxy = ProxyProtocol::kOff) {
    std::optional<ProbeResult> result;
    const auto running =
        starter_.begin(check_of(target, policy, proxy), [&](const ProbeResult& found) {
          EXPECT_FALSE(result.has_value()) << "reported twice";
          result = found;
        });
    EXPECT_FALSE(result.has_value()) << "reported from inside begin()";
    EXPECT_TRUE(run_until([&] { return result.has_value(); }));
    return result.value_or(ProbeResult{Outcome::kFailure, "no result at all"});
  }

  ProbeResult failure(const std::string& reason) const { return {Outcome::kFailure, reason}; }

  asio::io_context io_;
  ProbeStarter starter_{io_};
};

}  // namespace lb::health
