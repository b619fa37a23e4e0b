// The life of an address over a link that fails on demand.
#include "dataplane/announce/link_announcer.hpp"

#include <gmock/gmock.h>

#include "dataplane/announce/packet_filter.hpp"

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
Vip vip(const char* text, uint16_t port = 80) { return {ip(text), {{Protocol::kTcp, port}}}; }

class FakeLink : public LinkLayer {
 public:
  Result<std::map<IpAddress, Ownership>> addresses() override {
    ++listings;
    if (broken) return *broken;
    return owners;
  }
  Result<LinkState> state() override { return link_state; }
  Status put(const IpAddress& address, unsigned seconds) override {
    if (broken) return *broken;
    valid_seconds = seconds;
    ++puts;
    on_link.insert(address);
    return Done{};
  }
  Status remove(const IpAddress& address) override {
    on_link.erase(address);
    return Done{};
  }
  Status send_probe(const IpAddress& address) override {
    probed.push_back(address);
    if (address == answering && on_claim) on_claim({address, {2, 0, 0, 0, 0, 1}});
    return Done{};
  }
  Status send_announcement(const IpAddress&) override {
    ++announcements;
    return Done{};
  }
  Status listen(std::function<void(const Claim&)> callback) override {
    if (deaf) return *deaf;
    on_claim = callback;
    return Done{};
  }
  void stop_listening() override { on_claim = nullptr; }

  std::optional<Error> broken;
  std::optional<Error> deaf;
  LinkState link_state{{2, 0, 0, 0, 0, 9}, true};
  unsigned listings = 0;
  std::map<IpAddress, Ownership> owners;
  std::optional<IpAddress> answering;
  std::set<IpAddress> on_link;
  std::vector<IpAddress> probed;
  unsigned valid_seconds = 0, puts = 0, announcements = 0;
  std::function<void(const Claim&)> on_claim;
};

class LinkAnnouncerTest : public testing::Test {
 protected:
  LinkAnnouncerTest() {
    auto fake = std::make_unique<FakeLink>();
    link = fake.get();
    LinkAnnouncerOptions options;
    options.probe_gap = 1ms;
    options.renew = 2ms;
    options.conflict_retry_ticks = 3;
    options.set_filter = [this](const auto& vips, std::function<void()> in_force) {
      filtered = vips;
      if (filter_at_once) return in_force();
      filter_pending = std::move(in_force);
    };
    options.on_change = [this] {
      ++changes;
      if (when_changed) when_changed();
    };
    options.report = [this](const Error& error) { reports.push_back(error.code); };
    announcer = std::make_unique<LinkAnnouncer>(io, std::move(fake), std::move(options));
  }
  void set(std::vector<Vip> wanted) {
    answer.reset();
    announcer->set(std::move(wanted), [this](Announcer::Failures failures) { answer = failures; });
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(10ms);
    return holds();
  }
  bool answered() {
    return run_until([this] { return answer.has_value(); });
  }

  asio::io_context io;
  FakeLink* link = nullptr;
  std::unique_ptr<LinkAnnouncer> announcer;
  std::optional<Announcer::Failures> answer;
  std::vector<Vip> filtered;
  bool filter_at_once = true;
  std::function<void()> filter_pending;
  unsigned changes = 0;
  std::function<void()> when_changed;
  std::vector<std::string> reports;
};

TEST_F(LinkAnnouncerTest, ProbesThreeTimesThenTakesTheAddress) {
  set({vip("192.0.2.10")});
  EXPECT_FALSE(answer) << "not before it has asked";
  ASSERT_TRUE(answered());
  EXPECT_THAT(*answer, IsEmpty());
  EXPECT_EQ(link->probed.size(), 3u);
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.10")));
  EXPECT_EQ(link->valid_seconds, 5u);
  EXPECT_GE(link->announcements, 1u);
}

TEST_F(LinkAnnouncerTest, OneThatLeavesKeepsItsAddressAndTheFilterAndRenewsNoMore) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  const auto filter = filtered;
  bool gone = false;
  announcer->leave([&] { gone = true; });
  EXPECT_TRUE(gone);
  const unsigned puts = link->puts;
  io.run_for(20ms);  // ten renewals
  announcer->stop();
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.10")));
  EXPECT_EQ(filtered, filter);
  EXPECT_EQ(link->puts, puts);
  EXPECT_EQ(announcer->counters().removed, 0u);
}

TEST_F(LinkAnnouncerTest, LeavesAnAddressThatSomebodyAnswersFor) {
  link->answering = ip("192.0.2.10");
  set({vip("192.0.2.10"), vip("192.0.2.11")});
  ASSERT_TRUE(answered());
  EXPECT_EQ(answer->at(ip("192.0.2.10")).code, "AddressInUseOnNetwork");
  EXPECT_THAT(answer->at(ip("192.0.2.10")).message, HasSubstr("02:00:00:00:00:01"));
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.11")));
  EXPECT_EQ(announcer->counters().conflicts, 1u);
}

TEST_F(LinkAnnouncerTest, AsksAgainLaterAboutAConflict) {
  link->answering = ip("192.0.2.10");
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  link->answering.reset();
  EXPECT_TRUE(run_until([this] { return !link->on_link.empty(); }));
}

TEST_F(LinkAnnouncerTest, AnAddressOfTheNodeItselfIsInUse) {
  link->owners[ip("192.0.2.1")] = Ownership::kForeign;
  set({vip("192.0.2.1")});
  ASSERT_TRUE(answered());
  EXPECT_THAT(answer->at(ip("192.0.2.1")).message, HasSubstr("of this node"));
}

TEST_F(LinkAnnouncerTest, NeverFiltersAnAddressThatIsNotOurs) {
  link->owners[ip("192.0.2.1")] = Ownership::kForeign;
  link->answering = ip("192.0.2.2");
  set({vip("192.0.2.1"), vip("192.0.2.2"), vip("192.0.2.10")});
  EXPECT_THAT(filtered, IsEmpty()) << "nothing is ours yet";
  ASSERT_TRUE(answered());
  EXPECT_EQ(filtered, std::vector<Vip>{vip("192.0.2.10")});
}

TEST_F(LinkAnnouncerTest, TakesItsOwnLeftoverWithoutAsking) {
  link->owners[ip("192.0.2.10")] = Ownership::kOurs;
  set({vip("192.0.2.10")});
  EXPECT_TRUE(answer);
  EXPECT_THAT(link->probed, IsEmpty());
}

TEST_F(LinkAnnouncerTest, DoesNotAskAgainAboutWhatItHas) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  set({vip("192.0.2.10", 443)});
  EXPECT_TRUE(answer);
  EXPECT_EQ(link->probed.size(), 3u);
  EXPECT_EQ(filtered, std::vector<Vip>{vip("192.0.2.10", 443)});
}

TEST_F(LinkAnnouncerTest, RenewsUntilItStops) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(run_until([this] { return announcer->counters().renewals >= 3; }));
  announcer->stop();
  EXPECT_THAT(link->on_link, IsEmpty());
}

TEST_F(LinkAnnouncerTest, WithdrawsWhatIsNoLongerWanted) {
  set({vip("192.0.2.10"), vip("192.0.2.11")});
  ASSERT_TRUE(answered());
  set({vip("192.0.2.11")});
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.11")));
  EXPECT_EQ(announcer->counters().removed, 1u);
}

TEST_F(LinkAnnouncerTest, SaysOnceThatItMayNotAndTriesOn) {
  link->broken = Error{"PermissionDenied", "needs CAP_NET_ADMIN"};
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  EXPECT_EQ(answer->at(ip("192.0.2.10")).code, "PermissionDenied");
  io.run_for(20ms);
  EXPECT_THAT(reports, ElementsAre("PermissionDenied"));
  link->broken.reset();
  EXPECT_TRUE(run_until([this] { return announcer->announced().size() == 1; }));
}

TEST_F(LinkAnnouncerTest, TakesAnAddressBackWhenTheInterfaceReturns) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  link->broken = Error{"NoInterface", "gone"};
  ASSERT_TRUE(run_until([this] { return announcer->announced().empty(); }));
  EXPECT_GE(announcer->counters().renewal_failures, 1u);
  link->broken.reset();
  EXPECT_TRUE(run_until([this] { return announcer->announced().size() == 1; }));
}

TEST_F(LinkAnnouncerTest, ALaterSetAnswersTheEarlierOne) {
  set({vip("192.0.2.10")});
  bool second = false;
  announcer->set({vip("192.0.2.11")}, [&](Announcer::Failures) { second = true; });
  EXPECT_TRUE(answer) << "with what was known";
  EXPECT_TRUE(run_until([&] { return second; }));
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.11")));
}

TEST_F(LinkAnnouncerTest, TheFilterStandsBeforeTheAddress) {
  filter_at_once = false;
  set({vip("192.0.2.10")});
  ASSERT_TRUE(run_until([this] { return filter_pending != nullptr; }));
  EXPECT_THAT(link->on_link, IsEmpty());
  EXPECT_FALSE(answer);
  filter_pending();
  EXPECT_TRUE(answer);
  EXPECT_THAT(link->on_link, ElementsAre(ip("192.0.2.10")));
}

TEST_F(LinkAnnouncerTest, AnnouncesAgainWhenTheHardwareAddressChanges) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(run_until([this] { return link->announcements == 3; }));
  link->link_state.mac[5] = 7;
  EXPECT_TRUE(run_until([this] { return link->announcements == 6; }));
  EXPECT_EQ(announcer->counters().link_changes, 1u);
}

TEST_F(LinkAnnouncerTest, AnnouncesAgainWhenTheCarrierReturns) {
  set({vip("192.0.2.10")});
  ASSERT_TRUE(run_until([this] { return link->announcements == 3; }));
  link->link_state.running = false;
  const auto renewals = announcer->counters().renewals;
  ASSERT_TRUE(run_until([&] { return announcer->counters().renewals >= renewals + 2; }));
  EXPECT_EQ(link->announcements, 3u);
  link->link_state.running = true;
  EXPECT_TRUE(run_until([this] { return link->announcements == 6; }));
}

TEST_F(LinkAnnouncerTest, TakesNothingWhenItCannotHearTheAnswers) {
  link->deaf = Error{"PermissionDenied", "needs CAP_NET_RAW"};
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  EXPECT_EQ(answer->at(ip("192.0.2.10")).code, "PermissionDenied");
  EXPECT_THAT(link->on_link, IsEmpty());
}

TEST_F(LinkAnnouncerTest, ReadsTheNodesAddressesOnceForAllNewOnes) {
  set({vip("192.0.2.10"), vip("192.0.2.11"), vip("192.0.2.12")});
  EXPECT_EQ(link->listings, 1u);
}

TEST_F(LinkAnnouncerTest, TellsOfWhatComesAndGoesLater) {
  link->answering = ip("192.0.2.10");
  set({vip("192.0.2.10")});
  ASSERT_TRUE(answered());
  EXPECT_EQ(announcer->failures().size(), 1u);
  EXPECT_EQ(changes, 0u) << "the answer has told it";
  link->answering.reset();
  ASSERT_TRUE(run_until([this] { return changes > 0; }));
  EXPECT_THAT(announcer->failures(), IsEmpty());
  EXPECT_EQ(link->on_link.size(), 1u);
}

TEST_F(LinkAnnouncerTest, WhoIsToldOfAFailureMaySetAnew) {
  set({vip("192.0.2.10"), vip("192.0.2.11"), vip("192.0.2.12")});
  ASSERT_TRUE(answered());
  when_changed = [this] { set({vip("192.0.2.12")}); };
  link->broken = Error{"NoInterface", "gone"};
  ASSERT_TRUE(run_until([this] { return changes > 0; }));
  link->broken.reset();
  EXPECT_TRUE(run_until([this] { return announcer->announced().size() == 1; }));
}

TEST(PacketFilterRules, PinListedPortsBeforeTheNodesTranslations) {
  const auto text = render({{ip("192.0.2.10"), {{Protocol::kTcp, 80}}}});
  EXPECT_THAT(text, HasSubstr("type nat hook prerouting priority -105"));
  EXPECT_THAT(text, HasSubstr("type nat hook output priority -105"));
  EXPECT_THAT(text, HasSubstr("tcp dport { 80 } dnat ip to 192.0.2.10\n"));
}

TEST(PacketFilterRules, AcceptListedPortsAndRejectTheRest) {
  const auto text = render({{ip("192.0.2.10"), {{Protocol::kTcp, 80}, {Protocol::kTcp, 443}}}});
  EXPECT_THAT(text, HasSubstr("ip daddr 192.0.2.10 tcp dport { 80, 443 } accept\n"));
  EXPECT_THAT(text, HasSubstr("ip daddr 192.0.2.10 meta l4proto 6 reject with tcp reset\n"));
  EXPECT_THAT(text, HasSubstr("priority -110"));
  EXPECT_THAT(text, Not(HasSubstr("udp dport")));
}

TEST(PacketFilterRules, WithoutAddressesTheTableGoes) {
  EXPECT_EQ(render({}), "add table inet empalme\ndelete table inet empalme\n");
}

TEST(PacketFilterRules, AnAddressThatOnlyDrainsTakesNothingNew) {
  const auto text = render({{ip("2001:db8::1"), {}}});
  EXPECT_THAT(text, HasSubstr("ip6 daddr 2001:db8::1 meta l4proto 17 reject\n"));
  EXPECT_THAT(text, Not(HasSubstr("dport")));
}

}  // namespace
}  // namespace lb::announce
