// What has time, on a thread of its own.
#include "dataplane/proxy/chores.hpp"

#include <future>
#include <new>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

using namespace std::chrono_literals;

TEST(Chores, RunsWhatIsLaterAfterWhatIsSooner) {
  Chores chores;
  std::promise<std::string> both;
  std::string order;
  chores.after(60ms, [&] {
    order += "later";
    both.set_value(order);
  });
  chores.after(1ms, [&] { order += "sooner "; });
  EXPECT_EQ(both.get_future().get(), "sooner later");
}

TEST(Chores, AsksForNoDescriptorOnceItIsMade) {
  Chores chores;
  const Fd before(dup(0));
  std::promise<void> done;
  chores.after(1ms, [&] { done.set_value(); });
  done.get_future().wait();
  const Fd after(dup(0));
  EXPECT_EQ(after.get(), before.get() + 1);
}

TEST(Chores, DropsWhatStillWaitsAtItsEnd) {
  const auto held = std::make_shared<int>(0);
  {
    Chores chores;
    chores.after(1h, [held] { FAIL() << "an hour is not over"; });
    std::promise<void> begun;
    chores.after(0ms, [&] { begun.set_value(); });
    begun.get_future().wait();
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Chores, ATaskWithoutMemoryIsCountedAndTheRestGoesOn) {
  Chores chores;
  std::promise<void> next;
  chores.after(0ms, [] { throw std::bad_alloc(); });
  chores.after(20ms, [&] { next.set_value(); });
  ASSERT_EQ(next.get_future().wait_for(5s), std::future_status::ready);
  EXPECT_EQ(chores.memory_wants(), 1u);
}

TEST(Chores, AsksABackendUntilItAnswers) {
  const auto backend = [] {
    const Server reserved;
    return std::make_shared<BackendRecord>(Endpoint{*IpAddress::parse("127.0.0.1"), reserved.port});
  }();
  Chores chores;
  std::promise<void> readmitted;
  chores.readmit(backend,
                 {.pause = 5ms, .timeout = 1s, .readmitted = [&] { readmitted.set_value(); }});
  auto answer = readmitted.get_future();
  EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout) << "nobody listens there";
  Fd listener(socket(AF_INET, SOCK_STREAM, 0));
  const auto address = loopback(backend->endpoint.port);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  EXPECT_EQ(answer.wait_for(5s), std::future_status::ready);
}

}  // namespace
}  // namespace lb::proxy
