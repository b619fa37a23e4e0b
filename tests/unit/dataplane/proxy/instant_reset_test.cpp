// A backend that resets connections instead of answering them counts as one that refuses.
#include "tests/unit/dataplane/proxy/arrivals.hpp"

namespace lb::proxy {
namespace {

class InstantResetTest : public SecondChanceTest {
 protected:
  // A connection through to the server, with a request already there.
  struct Through {
    Fd client, backend;
  };
  Through connect_through(Server& server) {
    Through out;
    out.client = dial(port_);
    out.backend = server.accept_one();
    write_all(out.client.get(), "hello");
    EXPECT_EQ(read_some(out.backend, 5), "hello");
    return out;
  }
  void reset_one(Server& server) {
    Through through = connect_through(server);
    reset(through.backend);
    EXPECT_TRUE(is_reset(through.client));
  }
  bool ejected() { return port_status().backends.at(0).ejected; }
};

TEST_F(InstantResetTest, ThreeInARowEjectTheBackend) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 2; ++i) reset_one(server);
  EXPECT_FALSE(ejected());
  reset_one(server);
  EXPECT_TRUE(eventually([&] { return ejected(); }));
  EXPECT_EQ(port_status().backends.at(0).reason, "Refused");
  EXPECT_EQ(counters().instant_resets, 3U);
  EXPECT_EQ(counters().connect_refused, 0U) << "they are counted apart";
  EXPECT_EQ(counters().ejections, 1U);
  EXPECT_EQ(totals().backends.at(0).instant_resets, 3U);
}

TEST_F(InstantResetTest, TheOthersAreSparedThen) {
  Server bad, good;
  serve({bad.port, good.port});
  int resets = 0;
  for (int i = 0; i < 20; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "hello");
    Arrival each = next_arrival({&bad, &good});
    EXPECT_EQ(read_some(each.fd, 5), "hello");
    resets += each.server == 0;
    if (each.server == 0) reset(each.fd);
    if (each.server == 1) write_all(each.fd.get(), "w");
    char answer;
    EXPECT_EQ(recv(client.get(), &answer, 1, 0), each.server == 0 ? -1 : 1);
  }
  EXPECT_EQ(resets, 3);
}

// Some of the resets come before the connect was seen to work.
TEST_F(InstantResetTest, SoDoThreeThatComeAtOnce) {
  Server bad, good;
  policy_.retry_before_first_byte = true;
  serve({bad.port, good.port});
  int resets = 0;
  for (int i = 0; i < 20; ++i) {
    const Fd client = dial(port_);
    Arrival each = next_arrival({&bad, &good});
    if (each.server == 0) {
      ++resets;
      reset(each.fd);
      each = next_arrival({&good});
    }
    write_all(each.fd.get(), "w");
    EXPECT_EQ(read_some(client, 1), "w") << i;
  }
  EXPECT_EQ(resets, 3);
  EXPECT_EQ(counters().instant_resets, 3U);
  EXPECT_EQ(counters().connect_errors, 0U);
}

TEST_F(InstantResetTest, AFirstByteEndsTheRow) {
  Server server;
  serve({server.port});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) reset_one(server);
    const Through answered = connect_through(server);
    write_all(answered.backend.get(), "w");
    EXPECT_EQ(read_some(answered.client, 1), "w");
  }
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, ACleanCloseEndsTheRow) {
  Server server;
  serve({server.port});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) reset_one(server);
    Through closed = connect_through(server);
    closed.backend.reset();
    EXPECT_EQ(read_all(closed.client.get()), "");
  }
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, WithoutHalfCloseTheClientsEndDoesToo) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) reset_one(server);
    const Through closed = connect_through(server);
    shutdown(closed.client.get(), SHUT_WR);
    EXPECT_EQ(read_all(closed.client.get()), "");
  }
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, AConnectDoesNotEndARowOfRefusals) {
  auto server = std::make_unique<Server>();
  const uint16_t port = server->port;
  policy_.ejection.seconds = 60;
  serve({port});
  for (int i = 0; i < 2; ++i) reset_one(*server);
  server.reset();
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().connect_refused, 1U);
  EXPECT_EQ(counters().ejections, 1U);
}

TEST_F(InstantResetTest, AResetAfterTheFirstByteIsNone) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 4; ++i) {
    Through answered = connect_through(server);
    write_all(answered.backend.get(), "w");
    EXPECT_EQ(read_some(answered.client, 1), "w");
    reset(answered.backend);
    EXPECT_TRUE(is_reset(answered.client));
  }
  EXPECT_EQ(counters().instant_resets, 0U);
}

TEST_F(InstantResetTest, AClientThatResetIsToBlameItself) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 4; ++i) {
    Through gone = connect_through(server);
    reset(gone.client);
    reset(gone.backend);
  }
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, AClientThatHasEndedMayBeToBlame) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 4; ++i) {
    Through gone = connect_through(server);
    gone.client.reset();
    EXPECT_EQ(read_all(gone.backend.get()), "");
    reset(gone.backend);
  }
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_EQ(counters().instant_resets, 0U);
}

TEST_F(InstantResetTest, ALateResetIsNone) {
  Server server;
  policy_.connect_timeout_ms = 300;
  serve({server.port});
  Through late = connect_through(server);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));  // the time itself is the subject
  reset(late.backend);
  EXPECT_TRUE(is_reset(late.client));
  EXPECT_EQ(counters().instant_resets, 0U);
}

TEST_F(InstantResetTest, IsOnlyCountedWhereThePolicySaysSo) {
  Server server;
  policy_.ejection.refused = 0;
  serve({server.port});
  for (int i = 0; i < 4; ++i) reset_one(server);
  EXPECT_EQ(counters().instant_resets, 4U);
  EXPECT_EQ(counters().ejections, 0U);
}

}  // namespace
}  // namespace lb::proxy
