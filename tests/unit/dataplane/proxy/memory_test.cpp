// The heap is used up: a connection for which memory is lacking is reset and counted, and nothing
// else is disturbed. Each allocation of a course of events is refused in turn.
#include "dataplane/proxy/memory_trim.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

constexpr int64_t kMost = 200;  // allocations in a course of events

// Whatever can need memory is asked for.
Policy greedy() {
  Policy out;
  out.max_connections_per_source = 100;
  out.affinity_seconds = 60;
  out.proxy_protocol = ProxyProtocol::kV2;
  out.ejection.refused = 1;
  out.retry_before_first_byte = true;
  return out;
}

struct Tally {
  uint64_t ejected = 0, told = 0;
};

// A client that speaks first is served by the second backend, since nobody listens where the first
// should be, is sent more than it reads at first, and leaves.
void one_course(Engine& engine, Server& server, const std::function<void()>& step) {
  const Fd client = engine.dial();
  write_all(client.get(), "kept until there is an answer");
  step();
  step();
  pollfd coming{server.fd.get(), POLLIN, 0};
  if (::poll(&coming, 1, 100) == 1) {
    const Fd peer = server.accept_one();
    step();
    const std::string block(1 << 16, 'x');
    for (int i = 0; i < 64; ++i) {
      (void)!send(peer.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      step();
    }
    std::string text(1 << 20, 0);
    for (int i = 0; i < 8; ++i) {
      (void)!recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
      step();
    }
  }
}

// Nothing of a session that is gone is used any more, by one least of all for which nothing is kept.
void expect_next_is_served(Engine& engine, Server& server) {
  const auto before = std::exchange(engine.listener, nullptr);
  engine.serve({server.port});
  Fd client = engine.dial();
  engine.work();
  Fd peer = server.accept_one();
  write_all(peer.get(), "next");
  engine.work();
  char text[8];
  EXPECT_EQ(recv(client.get(), text, sizeof text, MSG_DONTWAIT), 4);
  client.reset();
  peer.reset();
  ASSERT_TRUE(engine.works_until([&] { return engine.engine.sessions() == 0; }));
  engine.listener = before;
}

class MemoryTest : public testing::Test {
 protected:
  MemoryTest() {
    hooks.on_eject = [this](const auto&, const Policy&) { ++tally.ejected; };
    hooks.on_close = [this](const FlowRecord& record) {
      // What a log does with it.
      const std::string line = record.flow.service + " of a service with a longer name than fits";
      tally.told += line.empty() ? 0 : 1;
    };
    hooks.log_each = 1;
  }
  EngineHooks hooks;
  Tally tally;
};

TEST_F(MemoryTest, WhicheverAllocationFailsOnlyItsConnectionEnds) {
  int64_t number = 0;
  uint64_t wants = 0;
  for (bool failed = true; failed && number < kMost; ++number) {
    SCOPED_TRACE(number);
    Server server, calm;
    Engine engine(hooks);
    engine.serve({free_port(), server.port}, greedy());
    Engine other;
    other.serve({calm.port});
    const int before = lowest_free_descriptor();
    int64_t left = number;
    failed = false;
    one_course(engine, server, [&] {
      const uint64_t made = allocations();
      {
        const FailingNew refusing(failed ? kMost * 1000 : left);
        for (int i = 0; i < 3; ++i) engine.engine.poll();
        engine.engine.tick();
        failed = failed || FailingNew::has_failed();
      }
      left = std::max<int64_t>(0, left - int64_t(allocations() - made));
    });
    ASSERT_TRUE(engine.works_until([&] { return engine.engine.sessions() == 0; }));
    EXPECT_LE(engine.count(&EngineCounters::no_memory), failed ? 1u : 0u);
    wants += engine.count(&EngineCounters::no_memory);
    expect_next_is_served(engine, server);
    EXPECT_EQ(engine.listener->counts->connections, 0u);
    for (const auto& record : engine.listener->records) EXPECT_EQ(record->connections, 0u);
    EXPECT_EQ(engine.count(&EngineCounters::accepted), engine.count(&EngineCounters::closed));
    engine.engine.reset_everything();
    EXPECT_LE(lowest_free_descriptor(), before) << "a descriptor leaks";
  }
  std::printf("%ld allocations were refused one by one, %lu of them were missed\n",
              long(number - 1), static_cast<unsigned long>(wants));
  EXPECT_GT(number, 5);
  EXPECT_LT(number, kMost) << "the last course needs no refused allocation";
  EXPECT_GT(wants, 5u);
}

TEST_F(MemoryTest, WithoutAnyMemoryClientsAreResetAndWhatIsOpenGoesOn) {
  Server server;
  Engine engine(hooks);
  engine.serve({server.port});
  const Fd open = engine.dial();
  engine.work();
  const Fd peer = server.accept_one();
  std::vector<Fd> late;
  for (int i = 0; i < 3; ++i) late.push_back(engine.dial());
  write_all(open.get(), "still here");
  int wakeups = 0;
  {
    const FailingNew refusing(FailingNew::kEach);
    while (engine.engine.poll() && wakeups < 1000) ++wakeups;
    engine.engine.tick();
  }
  EXPECT_LT(wakeups, 10) << "it does not spin";
  for (const auto& client : late) EXPECT_TRUE(is_reset(client));
  char text[16];
  EXPECT_EQ(recv(peer.get(), text, sizeof text, 0), 10);
  EXPECT_EQ(engine.count(&EngineCounters::no_memory), 3u);
  EXPECT_EQ(engine.engine.sessions(), 1u);
  const Fd after = engine.dial();
  engine.work();
  EXPECT_EQ(engine.engine.sessions(), 2u) << "memory is there again";
}

TEST_F(MemoryTest, ABackendOfWhoseEjectionNobodyCouldBeToldIsNotEjected) {
  hooks.on_eject = [](const auto&, const Policy&) { throw std::bad_alloc(); };
  hooks.log_each = 0;
  Server server;
  Engine engine(hooks);
  Policy policy;
  policy.ejection.refused = 1;
  engine.serve({free_port(), server.port}, policy);
  const Fd client = engine.dial();
  engine.work();
  EXPECT_EQ(engine.engine.sessions(), 1u) << "the client does not notice";
  EXPECT_FALSE(engine.listener->records[0]->out()) << "nobody would take it back";
  EXPECT_EQ(engine.count(&EngineCounters::no_memory), 1u);
}

TEST(MemoryTrimTest, IsDueAMomentAfterThreeQuartersHaveEnded) {
  MemoryTrim trim;
  trim.note(8'000, 10'000);
  trim.note(2'001, 11'000);
  EXPECT_EQ(trim.due_at(), UINT64_MAX);
  trim.note(2'000, 12'000);
  EXPECT_EQ(trim.due_at(), 12'000 + MemoryTrim::kSettleMs);
  trim.note(0, 12'100);
  EXPECT_EQ(trim.due_at(), 12'000 + MemoryTrim::kSettleMs);
  EXPECT_TRUE(trim.due(12'250));
  trim.trim(0, 12'250);
  EXPECT_EQ(trim.due_at(), UINT64_MAX);
  EXPECT_EQ(trim.trims(), 1u);
}

TEST(MemoryTrimTest, IsNotDueAgainWithinFiveSecondsNorForAFew) {
  MemoryTrim trim;
  trim.note(999, 10'000);
  trim.note(0, 10'000);
  EXPECT_EQ(trim.due_at(), UINT64_MAX) << "not worthwhile";
  trim.note(1'000, 10'000);
  trim.note(0, 10'000);
  trim.trim(0, 10'250);
  trim.note(1'000, 10'300);
  trim.note(0, 10'400);
  EXPECT_EQ(trim.due_at(), 10'250 + MemoryTrim::kApartMs);
}

TEST_F(MemoryTest, TheMemoryOfAThousandConnectionsIsGivenBackOnce) {
  Server server;
  Engine engine;
  engine.serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 1'000; ++i) {
    clients.push_back(engine.dial());
    ASSERT_TRUE(engine.works_until([&] { return engine.engine.sessions() == clients.size(); }));
    engine.work(0);
    peers.push_back(moved_up(server.accept_one()));
  }
  for (auto& client : clients) reset(client);
  EXPECT_TRUE(engine.works_until([&] { return engine.count(&EngineCounters::memory_trims) == 1; }));
  EXPECT_EQ(engine.engine.sessions(), 0u);
}

}  // namespace
}  // namespace lb::proxy
