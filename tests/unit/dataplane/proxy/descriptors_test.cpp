// Out of descriptors: clients wait, nothing spins, the reserve is left alone, and what becomes free
// is used at once.
#include <sys/resource.h>

#include "common/net/descriptors.hpp"
#include "dataplane/proxy/clock.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Twenty clients of an engine that has room for five connections.
struct Crowd {
  static constexpr size_t kClients = 20, kRoom = 5;

  Crowd() {
    // Beside what is open: the backend's socket, ours, our epoll set, and the clients.
    hooks.descriptor_line = int(net::open_descriptors() + 3 + kClients + 2 * kRoom);
    server = std::make_unique<Server>();
    engine = std::make_unique<Engine>(hooks);
    engine->serve({server->port});
    for (size_t i = 0; i < kClients; ++i) clients.push_back(engine->dial());
    engine->work();
  }
  // One that is not missed by the count: what the client had open stays so.
  void leave(size_t client) {
    reset(clients[client]);
    clients[client].reset(dup(0));
  }
  size_t sessions() const { return engine->engine.sessions(); }

  EngineHooks hooks;
  std::unique_ptr<Server> server;
  std::unique_ptr<Engine> engine;
  std::vector<Fd> clients;
};

TEST(DescriptorShares, KeepSixtyFourAndFourForEachWorkerButNeverMoreThanAQuarter) {
  EXPECT_EQ(share_descriptors(20'000, 2).traffic, 20'000 - 72);
  EXPECT_EQ(share_descriptors(20'000, 2).upkeep, 20'000 - 36);
  EXPECT_EQ(share_descriptors(100, 8).reserve(), 25);
  EXPECT_EQ(share_descriptors(UINT64_MAX, 1).reserve(), 68) << "no limit";
}

TEST(DescriptorLine, WithoutALineNothingIsLookedAt) {
  DescriptorLine line;
  EXPECT_FALSE(line.lacking(1000));
  EXPECT_EQ(line.looks(), 0u);
}

TEST(DescriptorLine, WhereThereIsRoomALookIsGoodForMany) {
  DescriptorLine line(int(net::open_descriptors()) + 16 * 100);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(line.lacking(1000));
  EXPECT_EQ(line.looks(), 1u);
  EXPECT_FALSE(line.lacking(1000));
  EXPECT_EQ(line.looks(), 2u);
  EXPECT_FALSE(line.lacking(1000 + DescriptorLine::kAllowedMs));
  EXPECT_EQ(line.looks(), 3u) << "not for long";
}

TEST(DescriptorLine, ANumberBeyondItEndsTheAllowance) {
  const int line_at = int(net::open_descriptors()) + 16 * 20;
  DescriptorLine line(line_at);
  EXPECT_FALSE(line.lacking(1000));
  std::vector<Fd> others;
  for (int i = 0; i < 16 * 20; ++i) others.push_back(Fd(dup(0)));
  ASSERT_TRUE(others.back().valid());
  EXPECT_FALSE(line.lacking(1000)) << "it has not noticed";
  line.note(line_at);
  EXPECT_TRUE(line.lacking(1000));
}

TEST(DescriptorLine, LooksAgainAfterAWhileOrWhenSomethingWasReleased) {
  Fd one(dup(0)), two(dup(0));
  DescriptorLine line(static_cast<int>(net::open_descriptors()));
  EXPECT_TRUE(line.lacking(1000));
  one.reset();
  two.reset();
  EXPECT_TRUE(line.lacking(1050)) << "it has looked 50 ms ago";
  EXPECT_EQ(line.looks(), 1u);
  line.released();
  EXPECT_FALSE(line.lacking(1050));
}

TEST(Descriptors, ClientsBeyondTheLineWaitAndTheReserveIsLeftAlone) {
  const Crowd crowd;
  EXPECT_EQ(crowd.sessions(), Crowd::kRoom);
  EXPECT_LE(net::open_descriptors(), uint64_t(crowd.hooks.descriptor_line));
  EXPECT_GT(crowd.engine->count(&EngineCounters::accept_paused), 0u);
  for (const auto& client : crowd.clients) EXPECT_FALSE(has_input(client)) << "none is turned away";
}

TEST(Descriptors, AtTheLineTheLoopWakesTwentyTimesASecondAtMost) {
  const Crowd crowd;
  rusage before{}, after{};
  getrusage(RUSAGE_THREAD, &before);
  int wakeups = 0;
  const auto end = steady_clock::now() + milliseconds(1000);
  while (steady_clock::now() < end && wakeups < 1000) wakeups += crowd.engine->turn(50) ? 1 : 0;
  getrusage(RUSAGE_THREAD, &after);
  const auto microseconds = [](const rusage& use) {
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1'000'000 + use.ru_utime.tv_usec +
           use.ru_stime.tv_usec;
  };
  std::printf("at the line: %d wake-ups and %.2f ms of CPU in a second\n", wakeups,
              double(microseconds(after) - microseconds(before)) / 1000);
  // Ten times for the time, and each time for the listener that is looked at again.
  EXPECT_LE(wakeups, 22);
  EXPECT_EQ(crowd.sessions(), Crowd::kRoom) << "the line is held";
}

TEST(Descriptors, AConnectionThatEndsLetsTheNextOneInAtOnce) {
  Crowd crowd;
  for (size_t i = 0; i < 10; ++i) {
    const auto before = crowd.engine->count(&EngineCounters::accepted);
    crowd.leave(i);
    const auto began = steady_clock::now();
    ASSERT_TRUE(crowd.engine->works_until(
        [&] { return crowd.engine->count(&EngineCounters::accepted) > before; }));
    const auto took = steady_clock::now() - began;
    std::printf("served %.2f ms after another one had ended\n",
                std::chrono::duration<double, std::milli>(took).count());
    crowd.engine->work();
    EXPECT_EQ(crowd.sessions(), Crowd::kRoom) << "and no other, however often that happens";
  }
}

// The time is that of the clock that the pause is set by: however slow the machine is, the next look
// is due by then, and is the one that finds what was given back.
TEST(Descriptors, WhatOthersGiveBackIsUsedWithinTwoHundredMilliseconds) {
  static_assert(DescriptorLine::kLookMs <= 200);
  Crowd crowd;
  ASSERT_EQ(crowd.sessions(), Crowd::kRoom);
  const auto pauses = crowd.engine->count(&EngineCounters::accept_paused);
  EXPECT_LE(crowd.engine->engine.next_tick(), monotonic_ms() + DescriptorLine::kLookMs);
  for (size_t i = Crowd::kClients - 5; i < Crowd::kClients; ++i) crowd.clients[i].reset();
  ASSERT_TRUE(crowd.engine->works_until([&] { return crowd.sessions() >= Crowd::kRoom + 2; }));
  EXPECT_LE(crowd.engine->count(&EngineCounters::accept_paused), pauses + 1)
      << "no look before was in vain";
}

TEST(Descriptors, ADialWithoutADescriptorIsOurWantAndTheClientIsResetAtOnce) {
  Server one, two;
  Engine engine;
  engine.serve({one.port, two.port});
  const Fd client = engine.dial();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = rlim_t(lowest_free_descriptor() + 1);  // for the client only
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  engine.engine.poll();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(engine.count(&EngineCounters::no_descriptor), 1u) << "another backend needs one too";
  EXPECT_EQ(engine.count(&EngineCounters::dials), 1u);
  EXPECT_EQ(engine.count(&EngineCounters::connect_errors), 0u);
  EXPECT_EQ(engine.count(&EngineCounters::no_backend), 0u);
  for (const auto& record : engine.listener->records) {
    EXPECT_FALSE(record->out());
    EXPECT_EQ(record->connections, 0u);
  }
}

TEST(Descriptors, AcceptingWithoutADescriptorPausesAndGoesOnLater) {
  Server server;
  Engine engine;
  engine.serve({server.port});
  const Fd client = engine.dial();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = rlim_t(lowest_free_descriptor());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  int wakeups = 0;
  const auto end = steady_clock::now() + milliseconds(300);
  while (steady_clock::now() < end && wakeups < 1000) wakeups += engine.turn(50) ? 1 : 0;
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_GT(engine.count(&EngineCounters::accept_paused), 0u);
  EXPECT_LE(wakeups, 12);
  EXPECT_TRUE(engine.works_until([&] { return engine.engine.sessions() == 1; }));
}

}  // namespace
}  // namespace lb::proxy
