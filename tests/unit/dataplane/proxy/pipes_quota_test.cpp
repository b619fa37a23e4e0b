// The user's quota of pipes is used up (pipe(7), pipe-user-pages-soft): bytes are copied, and no
// tiny pipe is used.
#include <fcntl.h>

#include <cstdio>
#include <string>

#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/in_child.hpp"

namespace lb::proxy {
namespace {

constexpr uid_t kNobody = 64'111;  // nobody else's quota is touched

// As a user without rights whose quota is used up.
void without_quota(const std::function<void()>& test) {
  EXPECT_TRUE(in_child([&] {
    if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) return;
    std::vector<Fd> held;
    int size = 1 << 20;
    while (size >= 1 << 16 && held.size() < 5'000) {
      int ends[2];
      ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
      held.push_back(moved_up(Fd(ends[0])));
      held.push_back(moved_up(Fd(ends[1])));
      if (fcntl(held.back().get(), F_GETPIPE_SZ) < size) size = 0;
      if (size == 0) break;
      fcntl(held.back().get(), F_SETPIPE_SZ, size);
    }
    while (held.size() < 10'000) {
      int ends[2];
      ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
      held.push_back(moved_up(Fd(ends[0])));
      held.push_back(moved_up(Fd(ends[1])));
      if (fcntl(held.back().get(), F_GETPIPE_SZ) < 1 << 16) break;
    }
    ASSERT_LT(fcntl(held.back().get(), F_GETPIPE_SZ), 1 << 16) << "the quota cannot be used up";
    test();
  }));
}

TEST(PipesQuota, ATinyPipeIsRefusedAndTheKernelIsNotAskedEachTime) {
  without_quota([] {
    PipePool pool;
    for (unsigned i = 0; i < PipePool::kSkips; ++i) EXPECT_FALSE(pool.take());
    EXPECT_EQ(pool.fallbacks(), PipePool::kSkips);
    EXPECT_EQ(pool.pipes(), 0u);
  });
}

TEST(PipesQuota, BulkGoesThroughByCopying) {
  without_quota([] {
    Server server;
    Engine engine;
    engine.serve({server.port});
    const Fd client = engine.dial();
    engine.work();
    const Fd peer = server.accept_one();
    const std::string block(1 << 18, 'b');
    size_t received = 0;
    for (int i = 0; i < 40; ++i) {
      const ssize_t sent =
          send(peer.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      ASSERT_GT(sent, 0);
      const size_t wanted = received + size_t(sent);
      std::string text(1 << 18, 0);
      EXPECT_TRUE(engine.works_until([&] {
        const ssize_t got = recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
        if (got > 0) received += size_t(got);
        return received == wanted;
      }));
    }
    EXPECT_EQ(engine.count(&EngineCounters::copied), received);
    EXPECT_EQ(engine.count(&EngineCounters::spliced), 0u);
    EXPECT_GT(engine.count(&EngineCounters::pipe_fallbacks), 0u);
  });
}

TEST(PipesQuota, PipesAreTakenAgainOnceThereIsQuota) {
  EXPECT_TRUE(in_child([] {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    PipePool pool;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_FALSE(pool.take());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    unsigned refused = 0;
    while (!pool.take() && refused < 1000) ++refused;
    EXPECT_EQ(refused, PipePool::kSkips);
  }));
}

TEST(PipesQuota, APoolHasItsOwnBound) {
  PipePool pool({.pipes = 2});
  auto one = pool.take(), two = pool.take();
  EXPECT_TRUE(two);
  EXPECT_FALSE(pool.take());
  EXPECT_EQ(pool.fallbacks(), 1u);
  two->held = 1;  // destroyed when it comes back, and then one more may be made
  pool.give_back(std::move(two));
  EXPECT_EQ(pool.pipes(), 1u);
  EXPECT_TRUE(pool.take());
}

TEST(PipesQuota, PipesLeaveTheLastDescriptorsAlone) {
  PipePool pool({.descriptor_line = lowest_free_descriptor() + 3});
  const auto one = pool.take();
  EXPECT_TRUE(one);
  EXPECT_FALSE(pool.take()) << "its other end would be beyond the line";
}

TEST(PipesQuota, IdlePipesAreGivenBackWhenDescriptorsAreShort) {
  PipePool pool;
  pool.give_back(pool.take());
  EXPECT_EQ(pool.pipes(), 1u);
  pool.release_idle();
  EXPECT_EQ(pool.pipes(), 0u);
}

}  // namespace
}  // namespace lb::proxy
