// The line on kernels that do not tell how many descriptors are open (before Linux 6.2): there,
// stat(2) of /proc/self/fd gives a size of 0, as it does here when told to.
#include <dlfcn.h>
#include <sys/stat.h>

#include <cstring>

#include "common/net/descriptors.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace {

bool kernel_is_old = false;

}  // namespace

extern "C" int stat(const char* path, struct stat* out) noexcept {
  using Function = int (*)(const char*, struct stat*);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "stat"));
  const int outcome = real(path, out);
  if (kernel_is_old && std::strcmp(path, "/proc/self/fd") == 0) out->st_size = 0;
  return outcome;
}

namespace lb::proxy {
namespace {

class DescriptorsUntold : public testing::Test {
 protected:
  DescriptorsUntold() { kernel_is_old = true; }
  ~DescriptorsUntold() override { kernel_is_old = false; }
};

TEST_F(DescriptorsUntold, AreCountedOneByOne) {
  const uint64_t untold = net::open_descriptors();
  EXPECT_FALSE(net::told_descriptors());
  kernel_is_old = false;
  EXPECT_EQ(net::open_descriptors(), untold);
}

TEST_F(DescriptorsUntold, AConnectionThatEndsAtTheLineCostsNoWalk) {
  DescriptorLine line(int(net::open_descriptors()) + 2);
  ASSERT_FALSE(line.lacking(1000));
  ASSERT_TRUE(line.lacking(1000));
  for (int i = 0; i < 500; ++i) {
    line.released();
    EXPECT_FALSE(line.lacking(1050)) << "its two descriptors are free";
    EXPECT_TRUE(line.lacking(1050)) << "and no others";
  }
  EXPECT_EQ(line.walks(), 1u);
}

TEST_F(DescriptorsUntold, WhatOthersDoIsSeenWithinAHundredMilliseconds) {
  std::vector<Fd> others;
  for (int i = 0; i < 64; ++i) others.push_back(Fd(dup(0)));
  DescriptorLine line(static_cast<int>(net::open_descriptors()));
  EXPECT_TRUE(line.lacking(1000));
  others.clear();
  line.released();
  line.released();
  EXPECT_FALSE(line.lacking(1050));
  EXPECT_FALSE(line.lacking(1050 + DescriptorLine::kLookMs));
  EXPECT_EQ(line.walks(), 2u);
}

TEST_F(DescriptorsUntold, ANumberBeyondTheLineIsBelievedAtOnce) {
  const int line_at = int(net::open_descriptors()) + 16 * 20;
  DescriptorLine line(line_at);
  EXPECT_FALSE(line.lacking(1000));
  line.note(line_at);
  EXPECT_TRUE(line.lacking(1000));
  EXPECT_EQ(line.walks(), 1u);
}

TEST_F(DescriptorsUntold, TheReserveIsLeftAloneHoweverOftenAConnectionIsReplaced) {
  constexpr size_t kClients = 20, kRoom = 5;
  EngineHooks hooks;
  hooks.descriptor_line = int(net::open_descriptors() + 3 + kClients + 2 * kRoom);
  Server server;
  Engine engine(hooks);
  engine.serve({server.port});
  std::vector<Fd> clients;
  for (size_t i = 0; i < kClients; ++i) clients.push_back(engine.dial());
  engine.work();
  for (size_t i = 0; i < 10; ++i) {
    const auto before = engine.count(&EngineCounters::accepted);
    reset(clients[i]);
    clients[i].reset(dup(0));
    ASSERT_TRUE(
        engine.works_until([&] { return engine.count(&EngineCounters::accepted) > before; }));
    engine.work();
    EXPECT_LE(engine.engine.sessions(), kRoom + 1);
  }
}

}  // namespace
}  // namespace lb::proxy
