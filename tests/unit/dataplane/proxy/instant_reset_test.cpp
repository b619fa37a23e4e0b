// A backend that resets connections instead of answering them counts as one that refuses.
#include <algorithm>

#include "tests/unit/dataplane/proxy/arrivals.hpp"

namespace lb::proxy {
namespace {

Fd dial_from(const std::string& address, uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  auto from = loopback(0);
  inet_pton(AF_INET, address.c_str(), &from.sin_addr);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
  const timeval limit{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto where = loopback(port);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  return fd;
}

class InstantResetTest : public SecondChanceTest {
 protected:
  // A connection through to the server, on which nothing was sent.
  struct Through {
    Fd client, backend;
  };
  Through connect_through(Server& server) {
    Through out;
    out.client = dial(port_);
    out.backend = server.accept_one();
    EXPECT_TRUE(eventually([this] { return all_are_through(); }));
    return out;
  }
  // One that is reset for what its client sends.
  void provoke(Server& server) {
    Through through = connect_through(server);
    write_all(through.client.get(), "hello");
    EXPECT_EQ(read_some(through.backend, 5), "hello");
    reset(through.backend);
    EXPECT_TRUE(is_reset(through.client));
  }
  void reset_one(Server& server) {
    Through through = connect_through(server);
    reset(through.backend);
    EXPECT_TRUE(is_reset(through.client));
  }
  bool all_are_through() {
    const auto now = flows();
    return std::all_of(now.begin(), now.end(),
                       [](const Flow& flow) { return flow.phase != FlowPhase::kDialling; });
  }
  // A client may read an answer before the worker has noted it.
  void await_end(Through& through) {
    through = {};
    EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
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
  EXPECT_EQ(port_status().backends.at(0).reason, "InstantReset");
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
    Arrival each = next_arrival({&bad, &good});
    // Otherwise a reset may still be that of a dial, and the next backend is dialled.
    EXPECT_TRUE(eventually([&] { return all_are_through(); }));
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

TEST_F(InstantResetTest, WhatAClientHasSentMayBeToBlame) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 12; ++i) provoke(server);
  EXPECT_FALSE(ejected());
  EXPECT_EQ(counters().instant_resets, 0U);
  EXPECT_EQ(counters().resets_from_backend, 12U);
}

TEST_F(InstantResetTest, NorDoesItEndARow) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 2; ++i) reset_one(server);
  provoke(server);
  reset_one(server);
  EXPECT_TRUE(eventually([&] { return ejected(); }));
}

TEST_F(InstantResetTest, OneClientCannotBreakTheAffinityOfAnother) {
  Server a, b;
  policy_.affinity_seconds = 600;
  serve({a.port, b.port});
  Fd faithful = dial_from("127.0.0.7", port_);
  const size_t home = next_arrival({&a, &b}).server;
  for (int i = 0; i < 12; ++i) {
    const Fd hostile = dial_from("127.0.0." + std::to_string(100 + i), port_);
    write_all(hostile.get(), "hello");
    Arrival each = next_arrival({&a, &b});
    EXPECT_EQ(read_some(each.fd, 5), "hello");
    reset(each.fd);
    EXPECT_TRUE(is_reset(hostile));
  }
  faithful = dial_from("127.0.0.7", port_);
  EXPECT_EQ(next_arrival({&a, &b}).server, home);
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, AFirstByteEndsTheRow) {
  Server server;
  serve({server.port});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) reset_one(server);
    Through answered = connect_through(server);
    write_all(answered.backend.get(), "w");
    EXPECT_EQ(read_some(answered.client, 1), "w");
    await_end(answered);
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
    await_end(closed);
  }
  EXPECT_EQ(counters().ejections, 0U);
}

TEST_F(InstantResetTest, WithoutHalfCloseTheClientsEndDoesToo) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) reset_one(server);
    Through closed = connect_through(server);
    shutdown(closed.client.get(), SHUT_WR);
    EXPECT_EQ(read_all(closed.client.get()), "");
    await_end(closed);
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
