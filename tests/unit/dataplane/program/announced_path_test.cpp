// Listener before address, address after the last connection; with fakes on both sides.
#include "dataplane/announced_path.hpp"

#include <gmock/gmock.h>

#include <new>
#include <optional>

#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Announces at once whatever is wanted, but for the addresses that the test lets fail.
class FakeAnnouncer : public announce::Announcer {
 public:
  void set(std::vector<announce::Vip> wanted, std::function<void(Failures)> done) override {
    if (std::exchange(out_of_memory, false)) throw std::bad_alloc();
    sets.push_back(wanted);
    if (on_set) on_set();
    held.clear();
    for (const auto& vip : wanted) {
      if (!failing.contains(vip.address)) held.insert(vip.address);
    }
    if (at_once) return done(failing);
    pending = std::move(done);
  }
  std::set<IpAddress> announced() const override { return held; }
  Failures failures() const override { return failing; }
  announce::AnnounceCounters counters() const override { return {}; }
  void stop() override { stopped = true; }
  void leave(std::function<void()> gone) override {
    left = true;
    gone();
  }

  bool at_once = true;
  bool out_of_memory = false;  // for the next set()
  bool stopped = false;
  bool left = false;
  Failures failing;
  std::set<IpAddress> held;
  std::vector<std::vector<announce::Vip>> sets;
  std::function<void(Failures)> pending;
  std::function<void()> on_set;
};

class AnnouncedPathTest : public testing::Test {
 protected:
  AnnouncedPathTest() {
    auto fake_path = std::make_unique<FakePath>();
    auto fake_announcer = std::make_unique<FakeAnnouncer>();
    path = fake_path.get();
    announcer = fake_announcer.get();
    announced.emplace(
        io, std::move(fake_path), std::move(fake_announcer),
        [this](const std::set<IpAddress>& among) {
          asked.insert(among.begin(), among.end());
          std::set<IpAddress> out;
          for (const auto& address : undelivered) {
            if (among.contains(address)) out.insert(address);
          }
          return out;
        },
        patience);
  }
  void apply(std::vector<Service> services) {
    announced->apply(std::make_shared<const DesiredState>(DesiredState{{1, 1}, services}),
                     [this](std::vector<Failure> failed) { answer = std::move(failed); });
  }
  void run_until_sets(size_t count) {
    for (int i = 0; i < 50 && announcer->sets.size() < count; ++i) {
      io.run_one_for(std::chrono::milliseconds(100));
    }
  }

  static constexpr std::chrono::milliseconds patience{300};
  std::set<IpAddress> undelivered;  // what the kernel still sends from
  std::set<IpAddress> asked;        // about whom that was asked
  asio::io_context io;
  FakePath* path = nullptr;
  FakeAnnouncer* announcer = nullptr;
  std::optional<AnnouncedPath> announced;
  std::optional<std::vector<Failure>> answer;
};

TEST_F(AnnouncedPathTest, OnceLeftItAnnouncesAndWithdrawsNothingMore) {
  apply({service("a", "192.0.2.1")});
  const size_t before = announcer->sets.size();
  bool gone = false;
  announced->leave([&] { gone = true; });
  EXPECT_TRUE(gone);
  EXPECT_TRUE(announcer->left);
  path->open.clear();
  announced->path_changed();
  io.run_for(std::chrono::milliseconds(1));
  EXPECT_THAT(announcer->sets, SizeIs(before));
}

TEST_F(AnnouncedPathTest, BindsBeforeItAnnounces) {
  path->at_once = false;
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(announcer->sets, IsEmpty());
  path->complete();
  EXPECT_THAT(announcer->sets, SizeIs(1));
}

TEST_F(AnnouncedPathTest, TheAnswerWaitsForTheProbes) {
  announcer->at_once = false;
  apply({service("a", "192.0.2.1")});
  EXPECT_FALSE(answer);
  announcer->pending({});
  EXPECT_TRUE(answer);
}

TEST_F(AnnouncedPathTest, AnAddressInUseFailsItsListeners) {
  announcer->failing[ip("192.0.2.1")] = {"AddressInUseOnNetwork", "somebody has it"};
  proxy::PortStatus served;
  served.address = ip("192.0.2.1");
  served.port = 80;
  served.programmed = true;
  path->live = {{"a", {served}}};
  apply({service("a", "192.0.2.1"), service("b", "192.0.2.2")});
  ASSERT_TRUE(answer);
  ASSERT_THAT(*answer, SizeIs(1));
  EXPECT_EQ(answer->front().reason, "AddressInUseOnNetwork");
  EXPECT_EQ(answer->front().key, "a");
  EXPECT_FALSE(announced->status()[0].ports[0].programmed);
}

TEST_F(AnnouncedPathTest, AnAddressInUseFailsEachListenerOfASharedPort) {
  announcer->failing[ip("192.0.2.1")] = {"AddressInUseOnNetwork", "somebody has it"};
  Service shop = service("shop", "192.0.2.1");
  shop.ports[0].match.names = {"shop.test"};
  apply({service("rest", "192.0.2.1"), shop});
  ASSERT_TRUE(answer);
  ASSERT_THAT(*answer, SizeIs(2));
  EXPECT_EQ(answer->front().match, Match());
  EXPECT_EQ(answer->back().match, shop.ports[0].match);
}

TEST_F(AnnouncedPathTest, NamesThePortsOfAnAddressOverAllServices) {
  Service other = service("b", "192.0.2.1");
  other.ports[0].port = 443;
  apply({service("a", "192.0.2.1"), other});
  ASSERT_THAT(announcer->sets[0], SizeIs(1));
  EXPECT_THAT(announcer->sets[0][0].ports, ElementsAre(std::pair(Protocol::kTcp, uint16_t{80}),
                                                       std::pair(Protocol::kTcp, uint16_t{443})));
}

TEST_F(AnnouncedPathTest, LeavesLoopbackAndWildcardAlone) {
  apply({service("file/a", "127.0.0.1"), service("file/b", "0.0.0.0")});
  EXPECT_THAT(announcer->sets[0], IsEmpty());
}

TEST_F(AnnouncedPathTest, KeepsAnAddressUntilItsLastConnectionIsOver) {
  apply({service("a", "192.0.2.1")});
  path->in_use = {ip("192.0.2.1")};
  apply({});
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
  path->in_use = {};
  run_until_sets(3);
  EXPECT_THAT(announcer->held, IsEmpty());
}

TEST_F(AnnouncedPathTest, KeepsAnAddressWhileTheKernelStillSendsFromIt) {
  apply({service("a", "192.0.2.1"), service("b", "192.0.2.2")});
  EXPECT_THAT(asked, IsEmpty()) << "nobody leaves";
  undelivered = {ip("192.0.2.1")};
  apply({});
  EXPECT_THAT(asked, ElementsAre(ip("192.0.2.1"), ip("192.0.2.2")));
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
  EXPECT_THAT(announcer->sets.back().at(0).ports, IsEmpty());
  undelivered = {};
  run_until_sets(3);
  EXPECT_THAT(announcer->held, IsEmpty());
}

TEST_F(AnnouncedPathTest, ButNotForAClientThatTakesNothing) {
  apply({service("a", "192.0.2.1")});
  undelivered = {ip("192.0.2.1")};
  apply({});
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
  run_until_sets(3);
  EXPECT_THAT(announcer->held, IsEmpty());
}

TEST_F(AnnouncedPathTest, AnAddressThatComesBackHasAllItsPatienceTheNextTime) {
  apply({service("a", "192.0.2.1")});
  undelivered = {ip("192.0.2.1")};
  for (int i = 0; i < 2; ++i) {
    apply({});
    EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1"))) << i;
    io.restart();
    io.run_for(patience - std::chrono::milliseconds(40));
    apply({service("a", "192.0.2.1")});
  }
}

TEST_F(AnnouncedPathTest, APortThatCouldNotBeOpenedIsNotLetThrough) {
  Service both = service("a", "192.0.2.1");
  both.ports.push_back(both.ports[0]);
  both.ports[1].port = 22;
  path->closed = {{{ip("192.0.2.1"), 22}, Protocol::kTcp}};
  apply({both});
  ASSERT_THAT(announcer->sets[0], SizeIs(1));
  EXPECT_THAT(announcer->sets[0][0].ports, ElementsAre(std::pair(Protocol::kTcp, uint16_t{80})));
}

TEST_F(AnnouncedPathTest, AnAddressWithoutAServedPortIsNotAnnounced) {
  path->closed = {{{ip("192.0.2.1"), 80}, Protocol::kTcp}};
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(announcer->sets[0], IsEmpty());
}

TEST_F(AnnouncedPathTest, AnnouncesWhatARetryHasOpened) {
  const proxy::ListenerId id{{ip("192.0.2.1"), 80}, Protocol::kTcp};
  path->closed = {id};
  apply({service("a", "192.0.2.1")});
  path->open.insert(id);
  announced->path_changed();
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
}

TEST_F(AnnouncedPathTest, DialsLeaveFromNoneOfItsAddresses) {
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(path->avoided, ElementsAre(ip("192.0.2.1")));
}

TEST_F(AnnouncedPathTest, DialsLeaveItsAddressesAloneBeforeTheyAreAnnounced) {
  announcer->at_once = false;
  announcer->on_set = [this] { EXPECT_THAT(path->avoided, ElementsAre(ip("192.0.2.1"))); };
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(announcer->sets, SizeIs(1));
}

TEST_F(AnnouncedPathTest, DialsMayLeaveFromAnAddressThatCannotBeAnnounced) {
  announcer->failing[ip("192.0.2.1")] = {"AddressInUseOnNetwork", "an address of this node"};
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(path->avoided, IsEmpty());
}

TEST_F(AnnouncedPathTest, DialsLeaveAnAddressAloneThatIsAnnouncedAfterAll) {
  announcer->failing[ip("192.0.2.1")] = {"AddressInUseOnNetwork", "somebody has it"};
  apply({service("a", "192.0.2.1")});
  announcer->failing.clear();
  announcer->held = {ip("192.0.2.1")};
  announced->path_changed();
  EXPECT_THAT(path->avoided, ElementsAre(ip("192.0.2.1")));
}

TEST_F(AnnouncedPathTest, DialsMayLeaveFromAnAddressThatIsNoLongerAnnounced) {
  apply({service("a", "192.0.2.1")});
  apply({});
  EXPECT_THAT(path->avoided, IsEmpty());
}

TEST_F(AnnouncedPathTest, AChangeThatWantOfMemoryHasInterruptedIsPutRightByTheNext) {
  announcer->out_of_memory = true;
  EXPECT_THROW(apply({service("a", "192.0.2.1")}), std::bad_alloc);
  apply({service("a", "192.0.2.1")});
  EXPECT_TRUE(answer.has_value());
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
}

TEST_F(AnnouncedPathTest, WhatWantOfMemoryHasInterruptedIsAnnouncedWithoutAChange) {
  announcer->out_of_memory = true;
  EXPECT_THROW(apply({service("a", "192.0.2.1")}), std::bad_alloc);
  run_until_sets(1);
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1")));
}

TEST_F(AnnouncedPathTest, AChangeThatIsLostOnItsWayHoldsUpNoAnnouncement) {
  apply({service("a", "192.0.2.1")});
  path->at_once = false;
  apply({service("a", "192.0.2.1"), service("b", "192.0.2.2")});
  path->lose();
  announced->path_changed();
  EXPECT_THAT(announcer->held, ElementsAre(ip("192.0.2.1"), ip("192.0.2.2")));
}

TEST_F(AnnouncedPathTest, NothingElseIsAnnouncedWhileAChangeIsUnderWay) {
  apply({service("a", "192.0.2.1")});
  path->at_once = false;
  apply({service("a", "192.0.2.1"), service("b", "192.0.2.2")});
  announced->path_changed();
  EXPECT_THAT(announcer->sets, SizeIs(1));
  path->complete();
  EXPECT_THAT(announcer->sets, SizeIs(2));
}

TEST_F(AnnouncedPathTest, AFailureThatHasPassedIsNotReported) {
  announcer->failing[ip("192.0.2.1")] = {"AddressInUseOnNetwork", "somebody has it"};
  apply({service("a", "192.0.2.1")});
  EXPECT_THAT(announced->failures(), SizeIs(1));
  announcer->failing.clear();
  EXPECT_THAT(announced->failures(), IsEmpty());
}

TEST_F(AnnouncedPathTest, StopsTheBytesBeforeTheAddresses) {
  announced->stop();
  EXPECT_TRUE(path->stopped);
  EXPECT_TRUE(announcer->stopped);
}

}  // namespace
}  // namespace lb::dataplane
