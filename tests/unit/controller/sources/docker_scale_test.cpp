// A daemon with many containers, and with many events.
#include <malloc.h>

#include "tests/unit/controller/sources/docker_source_rig.hpp"

namespace lb::sources {
namespace {

using namespace test_rig;
using DockerScaleTest = DockerSourceTest;

TEST_F(DockerScaleTest, AppliesTheEventsOfAThousandContainersWithinASecond) {
  constexpr int kContainers = 1000;
  options_ = {.server = {docker_.address()}};
  start_synced();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kContainers; ++i) docker_.run("c" + std::to_string(i), single(i));
  ASSERT_TRUE(until([&] { return sink_.services.size() == kContainers; }, 30s));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  RecordProperty("seconds", std::to_string(took.count()));
  std::printf("1000 containers applied in %.3f s, %llu lists, %llu reads\n", took.count(),
              static_cast<unsigned long long>(source_->counters().lists),
              static_cast<unsigned long long>(source_->counters().reads));
#ifndef EMPALME_SANITIZED
  EXPECT_LT(took, 1s);
#endif
  EXPECT_LT(source_->counters().lists, 20u) << "events are taken together";
  EXPECT_LT(source_->counters().reads, 200u) << "many at once are a list";
}

TEST_F(DockerScaleTest, HoldsNoMoreAfterTenThousandEventsThanBefore) {
  options_.list_timeout = 5s;
  options_.ping_timeout = 5s;
  docker_.set("a", web(1));
  start_synced();
  uint64_t told = 0;
  const auto round = [&](int events) {
    for (int i = 0; i < events; i += 2) {
      const std::string name = "c" + std::to_string(i % 200);
      docker_.run(name, single(i % 200));
      docker_.end(name);
    }
    told += static_cast<uint64_t>(events);
    ASSERT_TRUE(until(
        [&] { return source_->counters().events == told && sink_.services.size() == 1; }, 30s));
  };
  round(2'000);
  const size_t before = ::mallinfo2().uordblks;
  for (int i = 0; i < 5; ++i) round(2'000);
  // The daemon of the test itself keeps its lines: some 150 bytes each.
  const size_t after = ::mallinfo2().uordblks;
  std::printf("%zu bytes held before, %zu after 10,000 events\n", before, after);
  EXPECT_LT(after, before + 2'500'000);
  EXPECT_EQ(source_->containers(), 1u);
  EXPECT_FALSE(sink_.stale);
}

}  // namespace
}  // namespace lb::sources
