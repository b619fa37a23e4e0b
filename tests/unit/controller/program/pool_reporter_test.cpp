// The status of AddressPools on its way to a scripted API server.
#include "controller/pool_reporter.hpp"

#include <gmock/gmock.h>

#include "controller/metrics.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

constexpr auto kInterval = 50ms;

class PoolReporterTest : public testing::Test {
 protected:
  PoolReporterTest() { writer.start(); }
  ~PoolReporterTest() override { writer.stop(); }

  // Until that many writes were answered; in vain after five seconds.
  std::vector<net::HttpRequest> sent(size_t count) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (script.asked().size() < count && std::chrono::steady_clock::now() < end) run(2ms);
    return script.asked();
  }
  void run(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
  }

  asio::io_context io;
  kube::Script script;
  kube::ApiWriter writer{
      {[this] { return std::make_unique<kube::ScriptedClient>(script); }, [] {}, 100}};
  PoolReporter::Statuses now{{"public", {"1", 16, 1, 0, {}}}};
  PoolReporter reporter{io, {[this] { return now; }, kInterval}, writer};
};

TEST_F(PoolReporterTest, WritesTheStatusOfAPoolAsAMergePatch) {
  script.add(200, "{}");
  reporter.start();
  const auto requests = sent(1);
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].method, "PATCH");
  EXPECT_THAT(requests[0].target,
              HasSubstr("/apis/empalme.io/v1alpha1/addresspools/public/status?fieldManager="));
  EXPECT_EQ(requests[0].headers[0].value, "application/merge-patch+json");
  EXPECT_THAT(requests[0].body, HasSubstr(R"("assigned":1)"));
}

TEST_F(PoolReporterTest, WhatHasNotChangedIsNotWrittenAgain) {
  script.add(200, "{}");
  reporter.start();
  sent(1);
  run(4 * kInterval);
  EXPECT_EQ(reporter.counters().writes, 1u);
}

TEST_F(PoolReporterTest, OfManyChangesWithinAnIntervalOneIsWritten) {
  script.add(200, "{}");
  script.add(200, "{}");
  reporter.start();
  sent(1);
  for (uint64_t i = 2; i < 9; ++i) now["public"].assigned = i;
  const auto requests = sent(2);
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_THAT(requests[1].body, HasSubstr(R"("assigned":8)"));
  EXPECT_EQ(reporter.counters().writes, 2u);
}

TEST_F(PoolReporterTest, ARefusedWriteIsCountedAndTriedAgainAfterAPauseThatGrows) {
  for (int i = 0; i < 3; ++i) script.add(403, "no");
  script.add(200, "{}");
  const auto start = std::chrono::steady_clock::now();
  reporter.start();
  const auto requests = sent(4);
  ASSERT_THAT(requests, SizeIs(4));
  EXPECT_GE(std::chrono::steady_clock::now() - start, kInterval * (1 + 2 + 4));
  EXPECT_THAT(requests, Each(testing::Field(&net::HttpRequest::body, requests[0].body)));
  EXPECT_EQ(reporter.counters().failures, 3u);
}

TEST_F(PoolReporterTest, APoolThatWasMadeAnewIsWrittenAnew) {
  script.add(200, "{}");
  script.add(200, "{}");
  reporter.start();
  sent(1);
  now["public"].creation_time = "2";
  EXPECT_THAT(sent(2), SizeIs(2));
}

TEST_F(PoolReporterTest, WhatIsKnownNoLongerIsForgotten) {
  script.add(200, "{}");
  script.add(200, "{}");
  reporter.start();
  sent(1);
  const auto before = std::exchange(now, {});
  run(2 * kInterval);
  now = before;
  EXPECT_THAT(sent(2), SizeIs(2)) << "another controller may have written meanwhile";
}

TEST_F(PoolReporterTest, AWriteThatALeadershipLeftBehindIsMadeByTheNextThatBeginsAtOnce) {
  script.add(503, "busy");
  script.add(200, "{}");
  reporter.start();
  sent(1);
  writer.clear();  // the Lease is lost, and with it what waits to be tried again
  reporter.forget();
  EXPECT_THAT(sent(2), SizeIs(2)) << "and had again before the reporter looked";
}

TEST_F(PoolReporterTest, NothingIsWrittenOnceItIsStopped) {
  reporter.start();
  reporter.stop();
  now["public"].assigned = 9;
  run(3 * kInterval);
  EXPECT_EQ(reporter.counters().writes, 1u);
}

// "name{labels} value" for each sample.
std::vector<std::string> rows(const Metrics& metrics) {
  std::vector<std::string> out;
  for (const auto& metric : metrics) {
    for (const auto& sample : metric.samples) {
      std::string row = metric.name;
      for (const auto& [label, value] : sample.labels) row += " " + label + "=" + value;
      out.push_back(row + " " + std::to_string(static_cast<int>(sample.value)));
    }
  }
  return out;
}

TEST(PoolMetrics, TellOfEachPoolHowManyAddressesAreInWhichState) {
  plan::Pool a = plan::flags_pool({AddressRange::parse("192.0.2.0/29").value()});
  a.name = "a";
  plan::Allocator allocator(std::vector<plan::Pool>{a});
  plan::Claim claim;
  claim.families = {Family::kV4};
  for (const char* key : {"one", "two", "three"}) allocator.allocate(key, claim);
  allocator.release("three");
  allocator.mark_conflict(IpAddress::parse("192.0.2.6").value());
  Metrics out;
  add_pool_metrics(out, allocator);
  EXPECT_THAT(rows(out),
              testing::ElementsAre("empalme_controller_pool_capacity pool=a 8",
                                   "empalme_controller_pool_addresses pool=a state=assigned 2",
                                   "empalme_controller_pool_addresses pool=a state=quarantined 1",
                                   "empalme_controller_pool_addresses pool=a state=conflict 1"));
}

TEST(PoolMetrics, CountWritesOfStatusAndThoseThatWereRefused) {
  Metrics out;
  add_pool_status_metrics(out, {3, 1});
  EXPECT_THAT(rows(out), testing::ElementsAre("empalme_controller_pool_status_writes_total 3",
                                              "empalme_controller_pool_status_failures_total 1"));
}

}  // namespace
}  // namespace lb::controller
