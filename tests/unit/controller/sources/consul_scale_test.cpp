// A Consul with many instances, and with many changes.
#include <malloc.h>

#include "tests/unit/controller/sources/consul_source_rig.hpp"

namespace lb::sources {
namespace {

using namespace test_rig;

class ConsulScaleTest : public ConsulSourceTest {
 protected:
  ConsulScaleTest() { options_ = {.server = {consul_.address()}}; }

  void must_take_a_second(const std::function<bool()>& holds, const char* what) {
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(until(holds, 30s));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    RecordProperty("seconds", std::to_string(took.count()));
    std::printf("%s in %.3f s, %llu reads, %u connections\n", what, took.count(),
                static_cast<unsigned long long>(source_->counters().reads),
                consul_.counts().connections);
#ifndef EMPALME_SANITIZED
    EXPECT_LT(took, 1s);
#endif
  }
};

TEST_F(ConsulScaleTest, AppliesAThousandInstancesOfOneServiceWithinASecond) {
  for (int i = 0; i < 1000; ++i) consul_.set("web", "i" + std::to_string(i), instance(i));
  start();
  must_take_a_second([&] { return sink_.syncs == 1; }, "1000 instances of one service");
  EXPECT_EQ(backends().size(), 1000u);
}

TEST_F(ConsulScaleTest, AppliesAThousandServicesWithinASecondOverSixtyFourConnections) {
  for (int i = 0; i < 1000; ++i) {
    consul_.set("s" + std::to_string(i), "a", instance(i, 1000 + i));
  }
  start();
  must_take_a_second([&] { return sink_.syncs == 1; }, "1000 services");
  EXPECT_EQ(sink_.services.size(), 1000u);
  EXPECT_LE(consul_.counts().connections, 66u);
}

TEST_F(ConsulScaleTest, HoldsNoMoreAfterTenThousandChangesThanBefore) {
  options_.watches.pause = options_.catalogue_pause = 1ms;
  consul_.set("web", "a", instance(1));
  start_synced();
  const auto round = [&](int changes) {
    for (int i = 0; i < changes; i += 2) {
      const std::string name = "s" + std::to_string(i % 50);
      consul_.set(name, "a", instance(i % 200, 1000 + i % 50));
      consul_.set("web", "a", i % 4 ? critical(1) : instance(1));
      if (i % 40 == 0) until([&] { return sink_.services.contains("consul/" + name); });
      consul_.forget(name, "a");
    }
    consul_.set("web", "a", instance(1));
    ASSERT_TRUE(until([&] { return sink_.services.size() == 1 && source_->services() == 1; }, 30s));
  };
  round(2'000);
  const size_t before = ::mallinfo2().uordblks;
  for (int i = 0; i < 5; ++i) round(2'000);
  const size_t after = ::mallinfo2().uordblks;
  std::printf("%zu bytes held before, %zu after 10,000 changes\n", before, after);
  EXPECT_LT(after, before + 1'000'000);
  EXPECT_FALSE(sink_.stale);
}

}  // namespace
}  // namespace lb::sources
