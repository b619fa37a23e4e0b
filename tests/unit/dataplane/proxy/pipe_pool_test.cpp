#include "dataplane/proxy/pipe_pool.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace lb::proxy {
namespace {

TEST(PipePool, LendsThePipeThatCameBackClean) {
  PipePool pool;
  auto pipe = pool.take();
  ASSERT_TRUE(pipe);
  const int end = pipe->read_end.get();
  pool.give_back(std::move(pipe));
  EXPECT_EQ(pool.take()->read_end.get(), end);
}

TEST(PipePool, DestroysAPipeThatStillHoldsBytes) {
  PipePool pool;
  auto pipe = pool.take();
  const int end = pipe->read_end.get();
  pipe->held = 1;
  pool.give_back(std::move(pipe));
  EXPECT_EQ(fcntl(end, F_GETFD), -1);
}

TEST(PipePool, GivesPipesOfAtLeastSixtyFourKibibytes) {
  PipePool pool;
  EXPECT_GE(fcntl(pool.take()->read_end.get(), F_GETPIPE_SZ), 64 << 10);
}

TEST(PipePool, CountsWhenThereIsNoneToBeHad) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  PipePool pool;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto pipe = pool.take();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_FALSE(pipe);
  EXPECT_EQ(pool.fallbacks(), 1U);
}

}  // namespace
}  // namespace lb::proxy
