// A source that follows a fake daemon on the test's thread, and what it says.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/net/asio.hpp"
#include "tests/unit/controller/sources/collector.hpp"

namespace lb::sources::test_rig {

using namespace std::chrono_literals;

// `Fake` has an address(). What the source serves has keys that begin with `prefix`.
template <class Source, class Fake>
class SourceRig : public testing::Test {
 protected:
  explicit SourceRig(std::string prefix) : prefix_(std::move(prefix)) {}

  void start() {
    source_ = std::make_unique<Source>(io_, options_, sink_);
    source_->start();
  }
  // Runs until that holds; false once it has not for so long.
  bool until(const std::function<bool()>& holds, std::chrono::milliseconds most = 10s) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.restart();
      io_.run_for(2ms);
    }
    return true;
  }
  void start_synced() {
    start();
    ASSERT_TRUE(until([&] { return sink_.syncs > 0; }));
  }
  std::vector<std::string> backends(const std::string& service = "web") {
    std::vector<std::string> out;
    const auto found = sink_.services.find(prefix_ + service);
    if (found == sink_.services.end() || found->second.ports.empty()) return out;
    for (const auto& backend : found->second.ports[0].backends) {
      out.push_back(backend.address.to_string() + " " + to_string(backend.state));
    }
    return out;
  }
  bool becomes(std::vector<std::string> wanted) {
    return until([&] { return backends() == wanted; });
  }
  testing::AssertionResult goes_stale(const std::string& code) {
    if (!until([&] { return sink_.stale.has_value(); })) return testing::AssertionFailure();
    if (sink_.stale->code == code) return testing::AssertionSuccess();
    return testing::AssertionFailure() << sink_.stale->code << ": " << sink_.stale->message;
  }
  bool recovers() {
    return until([&] { return !sink_.stale; });
  }

  const std::string prefix_;
  asio::io_context io_{1};
  Fake fake_;
  typename Source::Options options_{.server = {fake_.address()}};
  Collector sink_{prefix_};
  std::unique_ptr<Source> source_;
};

}  // namespace lb::sources::test_rig
