// The control thread's heap is used up for a while: what was interrupted goes on by itself.
#include <algorithm>
#include <new>
#include <optional>

#include "dataplane/proxy/socket_handover.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

class PoolMemoryTest : public DataPathTest {
 protected:
  Server server_;
};

TEST_F(PoolMemoryTest, ADrainEndsThoughTheThreadThatDrainsLacksMemoryForAWhile) {
  serve({server_.port});
  const Fd client = dial(port_);
  const Fd peer = server_.accept_one();
  std::promise<void> drained;
  on_control([&] {
    std::function<void()> done = [&] { drained.set_value(); };
    const FailingNew all_but_the_first(1, true);
    path_->drain(0, std::move(done));
  });
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_GT(counters().no_memory, 0u);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(PoolMemoryTest, SocketsAreReleasedThoughTheThreadThatLeavesThemLacksMemoryForAWhile) {
  serve({server_.port});
  const Fd client = dial(port_);
  const Fd peer = server_.accept_one();
  std::promise<void> released;
  on_control([&] {
    std::function<void()> done = [&] { released.set_value(); };
    const FailingNew failing(FailingNew::kEach);
    path_->handover()->release_sockets(std::move(done));
  });
  EXPECT_EQ(released.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_GT(counters().no_memory, 0u);
  EXPECT_FALSE(dial(port_).valid());
  write_all(client.get(), "x");
  char text[1];
  EXPECT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1) << "what is open goes on";
}

TEST_F(PoolMemoryTest, WhoIsToldThatSocketsAreReleasedIsToldAgainIfItLacksMemory) {
  serve({server_.port});
  std::promise<void> released;
  int calls = 0;
  on_control([&] {
    path_->handover()->release_sockets([&] {
      if (++calls == 1) throw std::bad_alloc();
      released.set_value();
    });
  });
  EXPECT_EQ(released.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(counters().no_memory, 1u);
}

TEST_F(PoolMemoryTest, ThePulseComesThoughWhoHearsItLacksMemory) {
  std::promise<void> twice;
  int pulses = 0;
  on_control([&] {
    path_ = make_data_path({.workers = 1,
                            .post = [this](auto task) { asio::post(control_, std::move(task)); },
                            .on_pulse =
                                [&] {
                                  if (++pulses == 1) throw std::bad_alloc();
                                  if (pulses == 2) twice.set_value();
                                }});
  });
  EXPECT_EQ(twice.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(counters().no_memory, 1u);
}

TEST_F(PoolMemoryTest, AnEjectedBackendThatNobodyAsksForWantOfMemoryIsAskedAllTheSame) {
  policy_.ejection.refused = 1;
  policy_.ejection.seconds = 1;
  const uint16_t closed = free_port();
  serve({closed, server_.port});
  std::optional<FailingNew> failing;
  on_control([&] { failing.emplace(FailingNew::kEach); });
  ASSERT_TRUE(eventually([&] {
    const Fd client = dial(port_);
    return counters().ejections > 0;
  }));
  ASSERT_TRUE(eventually([&] { return counters().no_memory > 0; }));
  on_control([&] { failing.reset(); });
  Fd back(socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(back.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(closed);
  ASSERT_EQ(bind(back.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(back.get(), 8), 0);
  EXPECT_TRUE(eventually([&] { return counters().readmissions > 0; }));
}

}  // namespace
}  // namespace lb::proxy
