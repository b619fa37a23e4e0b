// What has time, on a thread of its own.
#include "dataplane/proxy/chores.hpp"

#include <fcntl.h>

#include <future>
#include <new>

#include "common/net/descriptors.hpp"
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
  chores.readmit(backend, {.service = "file/a", .pause = 5ms, .timeout = 1s, .readmitted = [&] {
                             readmitted.set_value();
                           }});
  auto answer = readmitted.get_future();
  EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout) << "nobody listens there";
  Fd listener(socket(AF_INET, SOCK_STREAM, 0));
  const auto address = loopback(backend->endpoint.port);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  EXPECT_EQ(answer.wait_for(5s), std::future_status::ready);
}

std::shared_ptr<BackendRecord> record_at(uint16_t port) {
  return std::make_shared<BackendRecord>(Endpoint{*IpAddress::parse("127.0.0.1"), port});
}

bool becomes(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  return condition();
}

int inheritable_files() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    count += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
  }
  return count;
}

TEST(Chores, ATryBeyondTheLineIsPutOffAndMadeOnceThereIsRoom) {
  const Server server;
  Fd room(dup(0));
  const int line = [] { return Fd(dup(0)).get(); }();
  Chores chores(line);
  std::promise<void> readmitted;
  auto answer = readmitted.get_future();
  const auto backend = record_at(server.port);
  chores.readmit(backend, {.service = "file/a", .pause = 2ms, .timeout = 5s, .readmitted = [&] {
                             readmitted.set_value();
                           }});
  EXPECT_TRUE(becomes([&] { return chores.readmissions_put_off() >= 3; }));
  EXPECT_NE(answer.wait_for(0s), std::future_status::ready);
  room.reset();
  EXPECT_EQ(answer.wait_for(5s), std::future_status::ready);
}

TEST(Chores, AMultitudeOfBackendsThatNeverAnswerIsAskedLittleByLittle) {
  const BlackHole hole;
  std::vector<std::shared_ptr<BackendRecord>> backends;
  for (int i = 0; i < 20; ++i) backends.push_back(record_at(hole.port));
  Chores chores(256);
  const uint64_t before = net::open_descriptors();
  const int inheritable = inheritable_files();
  for (const auto& each : backends) {
    chores.readmit(each, {.service = "file/a", .pause = 2ms, .timeout = 1h, .readmitted = [] {}});
  }
  EXPECT_TRUE(becomes([&] { return chores.readmissions_put_off() >= 4; }));
  EXPECT_EQ(net::open_descriptors(), before + 16);
  EXPECT_EQ(inheritable_files(), inheritable) << "a program that we start would hold them open";
}

TEST(Chores, WhoDoesNotAnswerInTimeMakesRoomForOthers) {
  const BlackHole hole;
  const Server server;
  std::vector<std::shared_ptr<BackendRecord>> silent;
  for (int i = 0; i < 16; ++i) silent.push_back(record_at(hole.port));
  Chores chores(256);
  for (const auto& each : silent) {
    chores.readmit(each, {.service = "file/a", .pause = 1ms, .timeout = 20ms, .readmitted = [] {}});
  }
  std::promise<void> readmitted;
  auto answer = readmitted.get_future();
  const auto backend = record_at(server.port);
  chores.readmit(backend, {.service = "file/a", .pause = 1ms, .timeout = 5s, .readmitted = [&] {
                             readmitted.set_value();
                           }});
  EXPECT_EQ(answer.wait_for(10s), std::future_status::ready);
}

// Each of its tries takes as long as a try may, however long its policy waits for an answer.
TEST(Chores, AServiceWhoseBackendsNeverAnswerDoesNotKeepThoseOfAnotherOut) {
  const BlackHole hole;
  const Server server;
  std::vector<std::shared_ptr<BackendRecord>> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(record_at(hole.port));
  Chores chores(256);
  for (const auto& each : silent) {
    chores.readmit(each, {"file/silent", 1ms, 1h, [] {}});
  }
  ASSERT_TRUE(becomes([&] { return chores.readmissions_put_off() >= 184; }));
  std::promise<void> readmitted;
  auto answer = readmitted.get_future();
  const auto backend = record_at(server.port);
  chores.readmit(backend, {"file/other", 1ms, 5s, [&] { readmitted.set_value(); }});
  EXPECT_EQ(answer.wait_for(2 * Readmission::kLongestTry), std::future_status::ready)
      << "its turn comes with the first try that ends";
}

TEST(Chores, WhatWaitsForItsTurnIsDroppedAtTheEnd) {
  const BlackHole hole;
  const auto held = std::make_shared<int>(0);
  std::vector<std::shared_ptr<BackendRecord>> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(record_at(hole.port));
  {
    Chores chores(256);
    for (const auto& each : silent) chores.readmit(each, {"file/a", 1ms, 1h, [held] {}});
    ASSERT_TRUE(becomes([&] { return chores.readmissions_put_off() >= 24; }));
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Chores, ABackendThatNobodyServesAnyMoreGivesItsTurnUp) {
  const BlackHole hole;
  const Server server;
  std::vector<std::shared_ptr<BackendRecord>> silent;
  for (int i = 0; i < 60; ++i) silent.push_back(record_at(hole.port));
  Chores chores(256);
  for (const auto& each : silent) chores.readmit(each, {"file/a", 1ms, 1h, [] {}});
  ASSERT_TRUE(becomes([&] { return chores.readmissions_put_off() >= 44; }));
  silent.clear();
  std::promise<void> readmitted;
  auto answer = readmitted.get_future();
  const auto backend = record_at(server.port);
  chores.readmit(backend, {"file/a", 1ms, 5s, [&] { readmitted.set_value(); }});
  EXPECT_EQ(answer.wait_for(10s), std::future_status::ready);
}

}  // namespace
}  // namespace lb::proxy
