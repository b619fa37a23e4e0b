// What operators see of live connections, and what they may do to them.
#include <mutex>

#include "tests/unit/dataplane/proxy/checklist_support.hpp"

namespace lb::proxy {
namespace {

class FlowsTest : public DataPathTest {
 protected:
  FlowsTest() {
    on_control([this] {
      path_ = make_data_path({.workers = 2,
                              .post = [this](auto task) { asio::post(control_, std::move(task)); },
                              .on_close =
                                  [this](const FlowRecord& record) {
                                    const std::lock_guard lock(mutex_);
                                    records_.push_back(record);
                                  },
                              .log_each = 1});
    });
  }

  std::vector<Flow> flows(FlowFilter filter = {}) {
    std::promise<std::vector<Flow>> answer;
    on_control([&] {
      path_->flows(std::move(filter),
                   [&](std::vector<Flow> flows) { answer.set_value(std::move(flows)); });
    });
    return answer.get_future().get();
  }
  bool kill(uint64_t id) {
    std::promise<bool> answer;
    on_control([&] { path_->kill(id, [&](bool found) { answer.set_value(found); }); });
    return answer.get_future().get();
  }
  void drain(std::set<Drain> drains) {
    std::promise<void> applied;
    on_control([&] { path_->set_drains(std::move(drains), [&] { applied.set_value(); }); });
    applied.get_future().wait();
  }
  bool shows(FlowPhase phase) {
    const auto all = flows();
    return all.size() == 1 && all[0].phase == phase;
  }
  // The record of the only connection, once it is over.
  FlowRecord record() {
    EXPECT_TRUE(eventually([this] {
      const std::lock_guard lock(mutex_);
      return !records_.empty();
    }));
    const std::lock_guard lock(mutex_);
    return records_.empty() ? FlowRecord{} : records_.front();
  }
  static Endpoint local(uint16_t port) { return {*IpAddress::parse("127.0.0.1"), port}; }

  std::mutex mutex_;
  std::vector<FlowRecord> records_;
};

TEST_F(FlowsTest, ListsBothEndsAndTheBytes) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  write_all(client.get(), "12345");
  char text[5];
  ASSERT_EQ(recv(peer.get(), text, 5, MSG_WAITALL), 5);
  const auto all = flows();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].service, "file/web");
  EXPECT_EQ(all[0].client, local(port_of(client.get())));
  EXPECT_EQ(all[0].backend, local(server.port));
  EXPECT_EQ(all[0].bytes_in, 5u);
  EXPECT_EQ(all[0].phase, FlowPhase::kRelaying);
}

TEST_F(FlowsTest, FiltersAndLimits) {
  Server server;
  serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
  }
  ASSERT_TRUE(eventually([this] { return flows().size() == 4; }));
  const IpAddress here = local(1).address;
  EXPECT_EQ(flows({"file/other", {}, {}, 9}).size(), 0u);
  EXPECT_EQ(flows({"", local(server.port), {}, 9}).size(), 4u);
  EXPECT_EQ(flows({"", local(1), {}, 9}).size(), 0u);
  EXPECT_EQ(flows({"", {}, here, 9}).size(), 4u);
  EXPECT_EQ(flows({"", {}, {}, 3}).size(), 3u);
  EXPECT_EQ(flows({"", {}, {}, 0}).size(), 0u);
}

TEST_F(FlowsTest, AListOfOneIsTheNewestOfItsWorkers) {
  Server server;
  serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
  }
  ASSERT_TRUE(eventually([this] { return flows().size() == 12; }));
  std::vector<Flow> all = flows();
  const auto ids = [](const std::vector<Flow>& from) {
    std::set<uint64_t> out;
    for (const auto& flow : from) out.insert(flow.id);
    return out;
  };
  // Opaque to others; that within a worker they grow is known here.
  constexpr uint64_t kOfWorker = (uint64_t{1} << 48) - 1;
  for (const auto& flow : flows({"", {}, {}, 4})) {
    const size_t newer = size_t(std::count_if(all.begin(), all.end(), [&](const Flow& each) {
      return each.id > flow.id && each.id <= (flow.id | kOfWorker);
    }));
    EXPECT_LT(newer, 4u) << "of the same worker";
  }
  EXPECT_EQ(ids(flows({"", {}, {}, 99})), ids(all));
}

TEST_F(FlowsTest, WhoIsRefusedAtTheDoorIsLoggedWithWhoItWas) {
  Server server;
  policy_.source_ranges = {Cidr::parse("192.0.2.0/24").value()};
  serve({server.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(is_reset(client));
  const FlowRecord told = record();
  EXPECT_EQ(told.reason, EndReason::kRefused);
  EXPECT_EQ(told.flow.service, "file/web");
  EXPECT_EQ(told.flow.listener, local(port_));
  EXPECT_EQ(told.flow.client, local(port_of(client.get())));
  EXPECT_EQ(told.flow.backend, std::nullopt);
  EXPECT_EQ(counters().source_refused, 1u);
}

TEST_F(FlowsTest, WhoIsAboveALimitIsLoggedToo) {
  Server server;
  policy_.max_connections = 1;
  serve({server.port});
  const Fd first = dial(port_);
  const Fd peer = server.accept_one();
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(record().reason, EndReason::kRefused);
  EXPECT_EQ(counters().limit_refused, 1u);
}

TEST_F(FlowsTest, EndsExactlyTheOneThatIsNamed) {
  Server server;
  serve({server.port});
  const Fd first = dial(port_), second = dial(port_);
  const Fd a = server.accept_one(), b = server.accept_one();
  ASSERT_TRUE(eventually([this] { return flows().size() == 2; }));
  for (const auto& flow : flows()) {
    if (flow.client != local(port_of(first.get()))) continue;
    EXPECT_TRUE(kill(flow.id));
  }
  EXPECT_TRUE(is_reset(first));
  EXPECT_EQ(flows().size(), 1u);
  EXPECT_EQ(counters().killed, 1u);
  EXPECT_EQ(record().reason, EndReason::kKilled);
}

TEST_F(FlowsTest, AnIdThatIsGoneIsNotFound) { EXPECT_FALSE(kill(12345)); }

TEST_F(FlowsTest, ADrainedBackendGetsNothingNewAndKeepsWhatItHas) {
  Server one, two;
  serve({one.port, two.port});
  drain({{"", local(two.port)}});
  for (int i = 0; i < 6; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(one.accept_one().valid());
  }
  drain({{"", local(one.port)}});
  const Fd client = dial(port_);
  EXPECT_TRUE(two.accept_one().valid());
  drain({});
  for (const auto& backend : port_status().backends) EXPECT_NE(backend.reason, "Drained");
}

TEST_F(FlowsTest, ADrainedServiceResetsWhoComesAndLeavesWhoIsThere) {
  Server server;
  serve({server.port});
  const Fd before = dial(port_);
  const Fd peer = server.accept_one();
  drain({{"file/web", std::nullopt}});
  EXPECT_TRUE(is_reset(dial(port_)));
  write_all(before.get(), "x");
  char text[1];
  EXPECT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  EXPECT_EQ(port_status().backends.at(0).reason, "Drained");
}

TEST_F(FlowsTest, ADrainOutlivesAChangeOfTheState) {
  Server one, two;
  serve({one.port});
  drain({{"", local(one.port)}});
  serve({one.port, two.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(two.accept_one().valid());
}

TEST_F(FlowsTest, TheRecordTellsWhoEndedIt) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  Fd peer = server.accept_one();
  const uint16_t from = port_of(client.get());
  write_all(client.get(), "x");
  char text[1];
  ASSERT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  reset(peer);
  EXPECT_TRUE(is_reset(client));
  const FlowRecord ended = record();
  EXPECT_EQ(ended.reason, EndReason::kBackendReset);
  EXPECT_EQ(ended.flow.client, local(from));
  EXPECT_EQ(ended.flow.backend, local(server.port));
  EXPECT_TRUE(ended.connect_ms);
}

TEST_F(FlowsTest, TheRecordCountsRetries) {
  Server server;
  serve({free_port(), server.port});
  for (int i = 0; i < 2; ++i) {
    const Fd client = dial(port_);
    server.accept_one();
  }
  EXPECT_TRUE(eventually([this] {
    const std::lock_guard lock(mutex_);
    for (const auto& each : records_) {
      if (each.retries == 1) return true;
    }
    return false;
  }));
}

TEST_F(FlowsTest, AClientForWhomNobodyIsLeftIsRecorded) {
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(record().reason, EndReason::kNoBackend);
}

TEST_F(FlowsTest, TotalsAreByServiceAndBackend) {
  Server server;
  serve({server.port});
  {
    const Fd client = dial(port_);
    const Fd peer = server.accept_one();
    write_all(client.get(), "123");
    shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(peer.get()), "123");
  }
  EXPECT_TRUE(eventually([this] { return counters().closed == 1; }));
  std::vector<PortTotals> totals;
  on_control([&] { totals = path_->totals(); });
  ASSERT_EQ(totals.size(), 1u);
  EXPECT_EQ(totals[0].accepted, 1u);
  EXPECT_EQ(totals[0].closed, 1u);
  EXPECT_EQ(totals[0].bytes_in, 3u);
  EXPECT_EQ(totals[0].backends.at(0).connections, 1u);
  EXPECT_EQ(totals[0].backends.at(0).bytes_in, 3u);
  uint64_t connects = 0;
  for (const uint64_t count : totals[0].connect.counts) connects += count;
  EXPECT_EQ(connects, 1u);
}

TEST_F(FlowsTest, AProxyThatHasNotSpokenIsGreeted) {
  Server server;
  policy_.accept_proxy_from = {Cidr::parse("127.0.0.0/8").value()};
  serve({server.port});
  const Fd client = dial(port_);
  EXPECT_TRUE(eventually([&] { return shows(FlowPhase::kGreeting); }));
}

TEST_F(FlowsTest, ABackendThatHasResetLeavesItsClientResetting) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  fill(peer);
  reset(peer);
  EXPECT_TRUE(eventually([&] { return shows(FlowPhase::kResetting); }));
}

TEST_F(FlowsTest, WhatIsOverButNotDeliveredLingers) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  write_all(peer.get(), std::string(800'000, 'x'));
  peer.reset();
  EXPECT_TRUE(eventually([&] { return shows(FlowPhase::kLingering); }));
}

}  // namespace
}  // namespace lb::proxy
