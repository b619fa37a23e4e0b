// Clients that reset while they wait in the kernel's queue: who they were is not known any more.
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

class GoneEarlyTest : public testing::Test {
 protected:
  GoneEarlyTest() { policy_.source_ranges = {*Cidr::parse("127.0.0.0/8")}; }
  static EngineHooks hooks(std::vector<FlowRecord>& records) {
    EngineHooks out;
    out.on_close = [&records](const FlowRecord& record) { records.push_back(record); };
    out.log_each = 1;
    return out;
  }
  void come_and_go() {
    Fd client = engine_.dial();
    reset(client);
    engine_.work();
  }
  // One client has come, was gone, and nothing was refused.
  void expect_gone(const ListenerCounts& counts) {
    EXPECT_EQ(engine_.count(&EngineCounters::client_gone), 1u);
    EXPECT_EQ(counts.stats[0]->ended[size_t(EndReason::kClientGone)], 1u);
    for (const auto& refused : counts.stats[0]->refused) EXPECT_EQ(refused, 0u);
    EXPECT_EQ(counts.connections, 0u);
    EXPECT_EQ(engine_.count(&EngineCounters::accepted), 1u);
    EXPECT_EQ(engine_.count(&EngineCounters::closed), 1u);
    EXPECT_EQ(engine_.engine.sessions(), 0u);
    ASSERT_EQ(records_.size(), 1u);
    EXPECT_EQ(records_[0].reason, EndReason::kClientGone);
    EXPECT_FALSE(records_[0].refusal);
    EXPECT_FALSE(records_[0].flow.client);
  }

  std::vector<FlowRecord> records_;
  Engine engine_{hooks(records_)};
  Server server_;
  Policy policy_;
};

TEST_F(GoneEarlyTest, AreNotOutsideTheSourceRanges) {
  engine_.serve({server_.port}, policy_);
  come_and_go();
  expect_gone(*engine_.listener->counts);
  EXPECT_EQ(engine_.count(&EngineCounters::source_refused), 0u);
}

TEST_F(GoneEarlyTest, NobodyIsDialledForThem) {
  engine_.serve({server_.port}, policy_);
  come_and_go();
  EXPECT_EQ(engine_.count(&EngineCounters::dials), 0u);
}

TEST_F(GoneEarlyTest, AreNotWithinTheDeniedRanges) {
  policy_ = {};
  policy_.deny_ranges = {*Cidr::parse("192.0.2.0/24")};
  engine_.serve({server_.port}, policy_);
  come_and_go();
  expect_gone(*engine_.listener->counts);
}

TEST_F(GoneEarlyTest, AreNoProxiesThatSaidNothing) {
  policy_.accept_proxy_from = {*Cidr::parse("127.0.0.0/8")};
  engine_.serve({server_.port}, policy_);
  come_and_go();
  expect_gone(*engine_.listener->counts);
}

TEST_F(GoneEarlyTest, AreNobodysWhereSourcesDecide) {
  engine_.serve_matched({{}, {*Cidr::parse("127.0.0.0/8")}}, server_.port);
  come_and_go();
  expect_gone(*engine_.listener->lobby);
  EXPECT_EQ(engine_.count(&EngineCounters::unrouted), 0u);
}

TEST_F(GoneEarlyTest, AreNobodysWhereNamesDecide) {
  engine_.serve_matched({{"a.test"}, {}}, server_.port);
  come_and_go();
  expect_gone(*engine_.listener->lobby);
}

TEST_F(GoneEarlyTest, WhoComesBehindThemIsServed) {
  engine_.serve({server_.port}, policy_);
  Fd gone = engine_.dial();
  const Fd other = engine_.dial();
  reset(gone);
  engine_.work();
  EXPECT_TRUE(has_input(server_.fd));
  EXPECT_EQ(engine_.engine.sessions(), 1u);
}

}  // namespace
}  // namespace lb::proxy
