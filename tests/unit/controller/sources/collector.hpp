// What a source has said.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "controller/sources/source.hpp"

namespace lb::sources::test_rig {

class Collector : public SourceSink {
 public:
  explicit Collector(std::string prefix) : prefix_(std::move(prefix)) {}

  void upsert(plan::SourceService service) override {
    ++upserts;
    const std::string key = service.key;
    for (const auto& port : service.ports) {
      for (const auto& backend : port.backends) {
        seen.insert(backend.address.to_string() + " " + to_string(backend.state));
      }
    }
    services[key] = std::move(service);
  }
  void remove(const std::string& key) override {
    ++removals;
    services.erase(key);
  }
  void synced(const std::string& prefix, const std::set<std::string>& keys) override {
    ++syncs;
    EXPECT_EQ(prefix, prefix_);
    std::erase_if(services, [&](const auto& each) { return !keys.contains(each.first); });
    EXPECT_EQ(services.size(), keys.size()) << "what is synced was told of";
  }
  void nodes(std::set<IpAddress>) override {}
  void certificates(const std::string& prefix, CertificateNews now) override {
    EXPECT_EQ(prefix, prefix_);
    news = std::move(now);
  }
  void freshness(const std::string& source, std::optional<Error> trouble) override {
    name = source;
    stale = trouble;
    if (trouble) ++troubles;
  }

  std::map<std::string, plan::SourceService> services;
  std::set<std::string> seen;  // "10.0.0.2 ready": every backend in every state ever
  std::string name;
  std::optional<Error> stale;
  CertificateNews news;
  size_t upserts = 0, removals = 0, syncs = 0, troubles = 0;

 private:
  const std::string prefix_;
};

}  // namespace lb::sources::test_rig
