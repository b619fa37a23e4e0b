// What goes wrong between the controller and what it watches, and what has to hold afterwards.
#include "tests/unit/controller/faults/faults_fixture.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using test::FakeApiServer;
using testing::Ge;
using testing::Gt;
using WatchFaults = FaultsTest;

uint64_t total(const ControllerRig& rig, std::atomic<uint64_t> kube::ReflectorCounters::*which) {
  uint64_t out = 0;
  for (const auto& each : rig.source.reflectors()) out += each->counters().*which;
  return out;
}

TEST_F(WatchFaults, NothingIsWrong) { recovers(2s); }

TEST_F(WatchFaults, AWatchThatEnds) {
  server.end_watches();
  recovers(5s);
}

TEST_F(WatchFaults, AVersionThatIsTooOldSaidAsAStatus) {
  server.expire(/*as_event=*/false);
  recovers(5s);
  EXPECT_THAT(total(*rig, &kube::ReflectorCounters::gone), Ge(1u));
}

TEST_F(WatchFaults, AVersionThatIsTooOldSaidAsAnEvent) {
  server.expire(/*as_event=*/true);
  recovers(5s);
  EXPECT_THAT(total(*rig, &kube::ReflectorCounters::gone), Ge(1u));
}

TEST_F(WatchFaults, ADeletionThatWasMissedWhileHistoryWasForgotten) {
  server.stop_accepting();
  remove(kube::kEndpointSlices, "dns-1");
  put_service("new");
  server.expire(/*as_event=*/false);
  server.accept_again();
  ASSERT_TRUE(until([this] { return addresses().size() == 4; }));
  before["new"] = addresses()["new"];
  recovers();
  EXPECT_FALSE(rig->publishes(key("dns"), "10.0.0.1"));
}

TEST_F(WatchFaults, AServiceThatIsDeletedWhileNobodyIsThere) {
  server.stop_accepting();
  remove(kube::kServices, "late");
  run(300ms);
  EXPECT_NE(rig->published(key("late")), nullptr) << "nobody has said so yet";
  server.accept_again();
  before.erase("late");
  ASSERT_TRUE(until([this] { return addresses() == before; }));
  recovers();
  EXPECT_EQ(rig->published(key("late")), nullptr);
}

TEST_F(WatchFaults, AVersionThatTheServerHasNotReached) {
  const auto backup = server.with([](auto& cluster) { return cluster; });
  // Far ahead of the backup: versions must not have been given again by the time we come back.
  for (int i = 2; i < 10; ++i) put_slice("dns", "10.0.0." + std::to_string(i));
  ASSERT_TRUE(until([this] { return rig->publishes(key("dns"), "10.0.0.9"); }));
  server.with([&](auto& cluster) { cluster = backup; });
  server.end_watches();
  recovers();
  EXPECT_TRUE(rig->publishes(key("dns"), "10.0.0.1"));
}

TEST_F(WatchFaults, AHalfOpenConnection) {
  server.freeze();
  recovers();
  EXPECT_THAT(rig->errors(), Ge(1u));
}

TEST_F(WatchFaults, AChunkThatIsCutShort) {
  server.cut_watches();
  recovers(10s);
  EXPECT_THAT(rig->errors(), Ge(1u));
}

TEST_F(WatchFaults, ALineThatIsNoJson) {
  server.lie_to_watches();
  ASSERT_TRUE(until([this] { return total(*rig, &kube::ReflectorCounters::bad_events) >= 3; }));
  recovers(10s);
  EXPECT_THAT(total(*rig, &kube::ReflectorCounters::bad_events), Ge(1u));
}

TEST_F(WatchFaults, ATableInsteadOfAnObjectAndAnEventOfAnUnknownType) {
  server.tell_watches(R"({"type":"ADDED","object":{"kind":"Table","columnDefinitions":[]}})");
  server.tell_watches(R"({"type":"POLKA","object":{"metadata":{"name":"x"}}})");
  recovers(10s);
  EXPECT_THAT(total(*rig, &kube::ReflectorCounters::bad_events), Ge(1u));
}

TEST_F(WatchFaults, AStreamThatCrawls) {
  server.slow(64, 5ms);
  recovers();
}

TEST_F(WatchFaults, NobodyIsThereForAWhile) {
  server.stop_accepting();
  run(1500ms);
  EXPECT_EQ(rig->published().size(), 3u) << "what is served goes on";
  server.accept_again();
  recovers();
}

TEST_F(WatchFaults, ForbiddenForAWhile) {
  server.refuse(403, 6);
  server.end_watches();
  ASSERT_TRUE(until([this] { return rig->errors() >= 6; }));
  recovers();
  EXPECT_THAT(rig->errors(), Ge(6u));
}

TEST_F(WatchFaults, TooManyRequestsAndWhenToComeBack) {
  const auto began = Clock::now();
  server.refuse(429, 3, FakeApiServer::Which::kWatches, "1");
  server.end_watches();
  ASSERT_TRUE(server.wait_watching(0));
  recovers();
  EXPECT_THAT(Clock::now() - began, Ge(1s));
  EXPECT_THAT(rig->errors(), Ge(3u));
}

TEST_F(WatchFaults, ServerErrorsOfEveryKind) {
  uint64_t refused = 0;
  for (const int status : {500, 502, 503}) {
    server.refuse(status, 3);
    server.end_watches();
    refused += 3;
    ASSERT_TRUE(until([&] { return server.counts().refused == refused; }));
  }
  recovers();
}

TEST_F(WatchFaults, ATokenThatRotates) {
  write_token("second");
  server.require_token("second");
  ASSERT_TRUE(until([this] { return server.counts().unauthorized >= 1; }));
  recovers();
}

TEST_F(WatchFaults, ATokenThatIsLateInRotating) {
  server.require_token("second");
  ASSERT_TRUE(until([this] { return server.counts().unauthorized >= 3; }));
  write_token("second");
  recovers();
}

TEST_F(WatchFaults, PagesThatGrowTooOldBetweenTwo) {
  server.set_page(1);
  server.expire(/*as_event=*/true);
  for (int i = 0; i < 20; ++i) {
    put_slice("dns", "10.0.1." + std::to_string(i));
    run(2ms);
  }
  recovers();
}

TEST_F(WatchFaults, BookmarksMoveTheVersionOn) {
  for (int i = 0; i < 5; ++i) put_slice("dns", "10.0.2." + std::to_string(i));
  ASSERT_TRUE(until([this] { return rig->publishes(key("dns"), "10.0.2.4"); }));
  server.bookmark();
  server.end_watches();
  ASSERT_TRUE(server.wait_watching(3));
  recovers(5s);
}

}  // namespace
}  // namespace lb::controller
