// retry_before_first_byte: a backend that is gone before its first byte is replaced unnoticed.
#include <random>

#include "dataplane/proxy/kept_bytes.hpp"
#include "tests/unit/dataplane/proxy/arrivals.hpp"

namespace lb::proxy {
namespace {

class ReplayTest : public SecondChanceTest {
 protected:
  void SetUp() override {
    SecondChanceTest::SetUp();
    policy_.retry_before_first_byte = true;
    policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  }

  // A client's connection, and where it went.
  Arrival arrival() { return next_arrival({&one_, &two_}); }
  void serve_both() { serve({one_.port, two_.port}); }

  // A client whose first backend was reset, while the second one never answers.
  Fd replay_into(const BlackHole& hole) {
    policy_.connect_timeout_ms = 60'000;
    serve({one_.port});
    Fd client = dial(port_);
    write_all(client.get(), "hello");
    Fd first = one_.accept_one();
    EXPECT_EQ(read_some(first, 5), "hello");
    serve({one_.port, hole.port});
    reset(first);
    EXPECT_TRUE(eventually([&] { return counters().replays == 1; }));
    return client;
  }

  Server one_, two_;
};

TEST_F(ReplayTest, AResetBeforeTheFirstByteGoesUnnoticed) {
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  Arrival first = arrival();
  EXPECT_EQ(read_some(first.fd, 5), "hello");
  reset(first.fd);
  Arrival second = arrival();
  EXPECT_NE(second.server, first.server);
  EXPECT_EQ(read_some(second.fd, 5), "hello");
  write_all(second.fd.get(), "world");
  second.fd.reset();
  EXPECT_EQ(read_all(client.get()), "world");
  EXPECT_EQ(counters().replays, 1U);
  EXPECT_EQ(counters().retries, 1U);
  EXPECT_EQ(counters().instant_resets, 0U) << "the client may have been what it reset for";
  EXPECT_EQ(totals().replays, 1U);
}

TEST_F(ReplayTest, ACloseWithoutAByteGoesUnnoticedToo) {
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  first.fd.reset();
  Arrival second = arrival();
  EXPECT_NE(second.server, first.server);
  write_all(client.get(), "hello");
  EXPECT_EQ(read_some(second.fd, 5), "hello") << "nothing had been sent before";
  EXPECT_EQ(counters().replays, 1U);
  EXPECT_EQ(counters().instant_resets, 0U);
}

TEST_F(ReplayTest, InAPanicGoesOnToABackendThatIsCalledDown) {
  policy_.health.panic_percent = 100;
  serve_both();
  for (const Server* each : {&one_, &two_}) set_health(each->port, Health::kDown);
  const Fd client = dial(port_);
  Arrival first = arrival();
  first.fd.reset();
  EXPECT_NE(arrival().server, first.server);
  EXPECT_EQ(counters().replays, 1U);
}

TEST_F(ReplayTest, IsOffByDefault) {
  policy_.retry_before_first_byte = false;
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  Arrival first = arrival();
  EXPECT_EQ(read_some(first.fd, 5), "hello");
  reset(first.fd);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().replays, 0U);
}

TEST_F(ReplayTest, WhatCameInManyPiecesIsSentAgainInOrder) {
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string piece = std::to_string(i) + (i % 7 == 0 ? std::string(500, 'x') : ";");
    write_all(client.get(), piece);
    EXPECT_EQ(read_some(first.fd, piece.size()), piece);
    all += piece;
  }
  reset(first.fd);
  const Arrival second = arrival();
  EXPECT_EQ(read_some(second.fd, all.size()), all);
  write_all(client.get(), "more");
  EXPECT_EQ(read_some(second.fd, 4), "more");
}

TEST_F(ReplayTest, AClientThatHasEndedIsRepeatedWithItsEnd) {
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "question");
  shutdown(client.get(), SHUT_WR);
  Arrival first = arrival();
  EXPECT_EQ(read_all(first.fd.get()), "question");
  reset(first.fd);
  Arrival second = arrival();
  EXPECT_EQ(read_all(second.fd.get()), "question");
  write_all(second.fd.get(), "answer");
  second.fd.reset();
  EXPECT_EQ(read_all(client.get()), "answer");
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_EQ(counters().instant_resets, 0U) << "the client may have been what it reset for";
}

TEST_F(ReplayTest, AnAnswerThatHasBegunIsCut) {
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  Arrival first = arrival();
  EXPECT_EQ(read_some(first.fd, 5), "hello");
  write_all(first.fd.get(), "w");
  EXPECT_EQ(read_some(client, 1), "w");
  reset(first.fd);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().replays, 0U);
}

// The backend answers and resets before it has read what the client still sends.
TEST_F(ReplayTest, AnAnswerThatIsStillUnreadIsNotLostToAReplay) {
  serve_both();
  for (int i = 0; i < 20; ++i) {
    const Fd client = dial(port_);
    Arrival first = arrival();
    write_all(client.get(), "unread");
    write_all(first.fd.get(), "no");
    first.fd.reset();
    EXPECT_EQ(read_some(client, 2), "no") << i;
  }
  EXPECT_EQ(counters().replays, 0U);
}

TEST_F(ReplayTest, AServerThatSpeaksFirstEndsTheKeeping) {
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  write_all(first.fd.get(), "220 ready");
  EXPECT_EQ(read_some(client, 9), "220 ready");
  const std::string much(KeptBytes::kMost + 1, 'x');
  write_all(client.get(), much);
  EXPECT_EQ(read_some(first.fd, much.size()), much);
  EXPECT_EQ(counters().keep_overflows, 0U);
  reset(first.fd);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(ReplayTest, AsMuchAsIsKeptIsSentAgain) {
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  const std::string most = std::string(KeptBytes::kMost - 1, 'x') + "y";
  write_all(client.get(), most);
  EXPECT_EQ(read_some(first.fd, most.size()), most);
  reset(first.fd);
  EXPECT_EQ(read_some(arrival().fd, most.size()), most);
  EXPECT_EQ(counters().keep_overflows, 0U);
}

TEST_F(ReplayTest, OneByteMoreMakesItAnOrdinaryConnection) {
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  const std::string more(KeptBytes::kMost + 1, 'x');
  write_all(client.get(), more);
  EXPECT_EQ(read_some(first.fd, more.size()), more);
  EXPECT_TRUE(eventually([&] { return totals().keep_overflows == 1; }));
  EXPECT_EQ(counters().keep_overflows, 1U);
  reset(first.fd);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().replays, 0U);
}

TEST_F(ReplayTest, WhenNobodyIsLeftAnEndIsAnEnd) {
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  for (int i = 0; i < 2; ++i) {
    Arrival each = arrival();
    EXPECT_EQ(read_some(each.fd, 5), "hello");
    shutdown(each.fd.get(), SHUT_WR);
    if (i == 0) continue;
    EXPECT_EQ(read_all(client.get()), "");
    write_all(client.get(), "still open");
    EXPECT_EQ(read_some(each.fd, 10), "still open");
  }
  EXPECT_EQ(counters().replays, 1U);
}

TEST_F(ReplayTest, WhenNobodyIsLeftAResetIsAReset) {
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  for (int i = 0; i < 2; ++i) {
    Arrival each = arrival();
    EXPECT_EQ(read_some(each.fd, 5), "hello");
    reset(each.fd);
  }
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().replays, 1U);
  EXPECT_EQ(counters().no_backend, 0U) << "there was one";
}

TEST_F(ReplayTest, TheAttemptsAreThoseOfTheWholeConnection) {
  Server three;
  policy_.connect_attempts = 2;
  serve({one_.port, two_.port, three.port});
  const Fd client = dial(port_);
  for (int i = 0; i < 2; ++i) {
    Arrival each = next_arrival({&one_, &two_, &three});
    reset(each.fd);
  }
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().dials, 2U);
}

TEST_F(ReplayTest, ARefusalAfterTheResetIsPassedOver) {
  const uint16_t dead = free_port();
  serve({one_.port, dead, two_.port});
  for (int i = 0; i < 6; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "hello");
    Arrival first = arrival();
    reset(first.fd);
    // Where the refusal came first, the third attempt is the last.
    Arrival second = arrival();
    EXPECT_NE(second.server, first.server);
    EXPECT_EQ(read_some(second.fd, 5), "hello");
    write_all(second.fd.get(), "w");
    EXPECT_EQ(read_some(client, 1), "w");
  }
  EXPECT_GT(counters().connect_refused, 0U);
}

TEST_F(ReplayTest, EveryBackendIsToldOnceWhoTheClientIs) {
  policy_.proxy_protocol = ProxyProtocol::kV1;
  serve_both();
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  const std::string expected = "PROXY TCP4 127.0.0.1 127.0.0.1 " +
                               std::to_string(port_of(client.get())) + " " + std::to_string(port_) +
                               "\r\nhello";
  Arrival first = arrival();
  EXPECT_EQ(read_some(first.fd, expected.size()), expected);
  reset(first.fd);
  Arrival second = arrival();
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(second.fd.get()), expected);
}

TEST_F(ReplayTest, NothingIsLostOrDoubledForASlowReader) {
  const unsigned seed = std::random_device{}();
  RecordProperty("seed", int(seed));
  std::mt19937 random(seed);
  std::string all(6 << 20, '\0');
  for (char& each : all) each = char(random());
  for (Server* server : {&one_, &two_}) {
    const int small = 4096;
    setsockopt(server->fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
  serve_both();
  const Fd client = dial(port_);
  Arrival first = arrival();
  write_all(client.get(), all.substr(0, 12'000));
  EXPECT_EQ(read_some(first.fd, 3'000), all.substr(0, 3'000)) << "the rest waits";
  reset(first.fd);
  const Arrival second = arrival();
  std::thread sender([&] {
    write_all(client.get(), all.substr(12'000));
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_TRUE(read_all(second.fd.get()) == all) << "seed " << seed;
  sender.join();
}

TEST_F(ReplayTest, WorksOnEveryWorker) {
  serve_both();
  const size_t before = open_descriptors();
  for (int i = 0; i < 40; ++i) {
    const Fd client = dial(port_);
    const std::string text = "number " + std::to_string(i);
    write_all(client.get(), text);
    Arrival first = arrival();
    EXPECT_EQ(read_some(first.fd, text.size()), text);
    if (i % 2 == 0) reset(first.fd);
    first.fd.reset();
    const Arrival second = arrival();
    EXPECT_EQ(read_some(second.fd, text.size()), text);
    write_all(second.fd.get(), text);
    EXPECT_EQ(read_some(client, text.size()), text);
  }
  EXPECT_EQ(counters().replays, 40U);
  expect_nothing_left(before);
}

TEST_F(ReplayTest, IsShownAsADialWithItsBytes) {
  const BlackHole hole;
  const Fd client = replay_into(hole);
  const auto now = flows();
  ASSERT_EQ(now.size(), 1U);
  EXPECT_EQ(now[0].phase, FlowPhase::kDialling);
  EXPECT_EQ(now[0].bytes_in, 5U);
}

TEST_F(ReplayTest, MayBeKilledOnTheWay) {
  const BlackHole hole;
  const size_t before = open_descriptors();
  {
    const Fd client = replay_into(hole);
    EXPECT_TRUE(kill(flows().at(0).id));
    EXPECT_TRUE(is_reset(client));
  }
  expect_nothing_left(before + 2);  // the listener's two
}

TEST_F(ReplayTest, EndsWithItsListener) {
  const BlackHole hole;
  const Fd client = replay_into(hole);
  apply({{1, 99}, {}});
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
}

TEST_F(ReplayTest, EndsWithADrain) {
  const BlackHole hole;
  const Fd client = replay_into(hole);
  drain(50);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(ReplayTest, EndsWhenTheClientGoes) {
  const BlackHole hole;
  Fd client = replay_into(hole);
  reset(client);
  EXPECT_TRUE(eventually([&] { return counters().client_gone_while_dialling == 1; }));
}

TEST_F(ReplayTest, EndsWithTheDrainOfTheBackendThatIsDialled) {
  const BlackHole hole;
  const Fd client = replay_into(hole);
  policy_.drain_s = 1;
  serve({two_.port});
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().drain_resets, 1U);
}

TEST_F(ReplayTest, GoesOnToABackendThatIsNewWhenTheOneDialledIsRemoved) {
  const BlackHole hole;
  const Fd client = replay_into(hole);
  policy_.drain_s = 1;
  serve({two_.port});
  set_health(hole.port, Health::kDown);
  const Fd peer = two_.accept_one();
  EXPECT_EQ(read_some(peer, 5), "hello");
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // the drain is not its any more
  write_all(peer.get(), "w");
  EXPECT_EQ(read_some(client, 1), "w");
}

TEST(KeptBytes, AreForgottenForGoodByOneTooMany) {
  KeptBytes kept;
  const std::string most(KeptBytes::kMost, 'x');
  kept.add(most.data(), most.size());
  EXPECT_FALSE(kept.overflowed());
  EXPECT_EQ(kept.bytes(), most);
  kept.add("y", 1);
  EXPECT_TRUE(kept.overflowed());
  kept.add("z", 1);
  EXPECT_TRUE(kept.bytes().empty());
}

}  // namespace
}  // namespace lb::proxy
