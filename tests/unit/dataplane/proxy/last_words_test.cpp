// A backend that speaks and resets before we have looked at the connect has been heard.
#include "tests/unit/dataplane/proxy/checklist_support.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

const std::string kWords = "421 too many\r\n";

class LastWordsTest : public testing::Test {
 protected:
  struct Through {
    Fd client, backend;
  };
  // The backend has accepted; what becomes of the dial was not looked at yet.
  Through dialled(Server& server) {
    Through out;
    out.client = engine_.dial();
    EXPECT_TRUE(engine_.works_until([&] { return has_input(server.fd); }));
    out.backend = moved_up(server.accept_one());
    return out;
  }
  void speak_and_reset(Fd& backend, const std::string& words = kWords) {
    write_all(backend.get(), words);
    reset(backend);
  }
  Received heard_of(Through& through) {
    speak_and_reset(through.backend);
    engine_.work();
    return receive_all(through.client);
  }
  uint64_t ended(EndReason how) const {
    return engine_.listener->counts->stats[0]->ended[size_t(how)];
  }
  BackendRecord& record(size_t i) const { return *engine_.listener->records.at(i); }

  Engine engine_;
  Server server_;
  Policy policy_;
};

TEST_F(LastWordsTest, ReachTheClientBeforeTheReset) {
  engine_.serve({server_.port});
  Through through = dialled(server_);
  const Received heard = heard_of(through);
  EXPECT_EQ(heard.bytes, kWords);
  EXPECT_EQ(heard.error, ECONNRESET);
  EXPECT_EQ(engine_.engine.sessions(), 0u);
  EXPECT_EQ(ended(EndReason::kBackendReset), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::resets_from_backend), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::bytes_out), kWords.size());
  EXPECT_EQ(record(0).stats[0].connections, 1u);
  EXPECT_EQ(record(0).connections, 0u);
}

TEST_F(LastWordsTest, AreNoReasonToAskSomebodyElse) {
  Server other;
  engine_.serve({server_.port, other.port});
  for (int i = 0; i < 2; ++i) {
    const Fd client = engine_.dial();
    EXPECT_TRUE(engine_.works_until([&] { return has_input(server_.fd) || has_input(other.fd); }));
    Fd backend = (has_input(server_.fd) ? server_ : other).accept_one();
    speak_and_reset(backend);
    engine_.work();
    EXPECT_EQ(receive_all(client).bytes, kWords);
  }
  EXPECT_EQ(engine_.count(&EngineCounters::dials), 2u);
  EXPECT_EQ(engine_.count(&EngineCounters::retries), 0u);
}

TEST_F(LastWordsTest, AreNotHeldAgainstTheBackend) {
  engine_.serve({server_.port});
  for (int i = 0; i < 5; ++i) {
    Through through = dialled(server_);
    EXPECT_EQ(heard_of(through).bytes, kWords);
  }
  EXPECT_FALSE(record(0).out());
  EXPECT_EQ(engine_.count(&EngineCounters::instant_resets), 0u);
}

TEST_F(LastWordsTest, EndARowOfResetsWithoutAny) {
  policy_.connect_attempts = 1;
  engine_.serve({server_.port}, policy_);
  for (const bool speaks : {false, false, true, false, false}) {
    Through through = dialled(server_);
    if (speaks) write_all(through.backend.get(), kWords);
    reset(through.backend);
    engine_.work();
    EXPECT_EQ(receive_all(through.client).bytes, speaks ? kWords : "");
  }
  EXPECT_EQ(engine_.count(&EngineCounters::instant_resets), 4u);
  EXPECT_FALSE(record(0).out());
}

TEST_F(LastWordsTest, MayBeMoreThanTheClientTakesAtOnce) {
  engine_.serve({server_.port});
  const Fd client = moved_up(dial_narrow(engine_.listener->address.port));
  ASSERT_TRUE(engine_.works_until([&] { return has_input(server_.fd); }));
  Fd backend = moved_up(server_.accept_one());
  const std::string all = numbered(200'000);
  const ssize_t sent = send(backend.get(), all.data(), all.size(), MSG_DONTWAIT);
  ASSERT_GT(sent, 0);
  const size_t there = size_t(sent) - unacknowledged(backend);
  reset(backend);
  std::string heard;
  std::string block(1 << 14, '\0');
  while (heard.size() < there) {
    engine_.turn(10);
    const ssize_t got = recv(client.get(), block.data(), block.size(), MSG_DONTWAIT);
    ASSERT_TRUE(got > 0 || (got < 0 && errno == EAGAIN)) << "after " << heard.size();
    if (got > 0) heard.append(block, 0, size_t(got));
  }
  EXPECT_EQ(heard, all.substr(0, heard.size()));
}

TEST_F(LastWordsTest, MayEndInOrderBeforeTheReset) {
  engine_.serve({server_.port});
  Through through = dialled(server_);
  write_all(through.backend.get(), kWords);
  shutdown(through.backend.get(), SHUT_WR);
  reset(through.backend);
  engine_.work();
  EXPECT_EQ(receive_all(through.client).bytes, kWords);
  EXPECT_EQ(engine_.engine.sessions(), 0u);
}

TEST_F(LastWordsTest, AreHeardThoughTheBackendWasToBeToldOfTheClient) {
  policy_.proxy_protocol = ProxyProtocol::kV1;
  engine_.serve({server_.port}, policy_);
  Through through = dialled(server_);
  EXPECT_EQ(heard_of(through).bytes, kWords);
}

TEST_F(LastWordsTest, AreAnAnswerWhereFirstBytesAreKept) {
  policy_.retry_before_first_byte = true;
  engine_.serve({server_.port, server_.port}, policy_);
  Through through = dialled(server_);
  write_all(through.client.get(), "hello");
  EXPECT_EQ(heard_of(through).bytes, kWords);
  EXPECT_EQ(engine_.count(&EngineCounters::replays), 0u);
}

// One of the two clients has its second dial at the server.
TEST_F(LastWordsTest, OfASecondDialAreHeardToo) {
  const BlackHole hole;
  policy_.hedge_ms = 10;
  policy_.connect_timeout_ms = 60'000;
  engine_.serve({hole.port, server_.port}, policy_);
  for (int i = 0; i < 2; ++i) {
    Through through = dialled(server_);
    EXPECT_EQ(heard_of(through).bytes, kWords);
  }
  EXPECT_EQ(engine_.count(&EngineCounters::hedges), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::hedges_won), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::instant_resets), 0u);
  EXPECT_EQ(engine_.count(&EngineCounters::connect_timeouts), 1u) << "of the first";
}

TEST_F(LastWordsTest, ARefusalHasNone) {
  Server other;
  engine_.serve({free_port(), other.port});
  for (int i = 0; i < 2; ++i) {
    Through through = dialled(other);
    EXPECT_EQ(heard_of(through).bytes, kWords);
  }
  EXPECT_EQ(engine_.count(&EngineCounters::refused), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::retries), 1u);
}

}  // namespace
}  // namespace lb::proxy
