// Two data planes of one machine, one after the other: what each does to files and addresses.
#include "dataplane/announce/vrrp_folder.hpp"
#include "vrrp_fixture.hpp"

namespace lb::announce {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(VrrpAnnouncerTest, BesideAnotherProcessNothingIsTouchedBeforeItHandsOver) {
  options.wait_for_begin = true;
  open();
  set({kAddress});
  announcer->give_up();
  EXPECT_EQ(announcer->vrrp_counters().starts, 0u);
  EXPECT_TRUE(std::filesystem::is_empty(options.files.folder));
  announcer->stop();
  EXPECT_TRUE(std::filesystem::is_empty(options.files.folder));
}

TEST_F(VrrpAnnouncerTest, OnceAnotherProcessHasHandedOverKeepalivedStarts) {
  options.wait_for_begin = true;
  open();
  set({kAddress});
  ASSERT_TRUE(announcer->begin().ok());
  EXPECT_EQ(announcer->vrrp_counters().starts, 1u);
  EXPECT_THAT(content(options.files.config()), HasSubstr("192.0.2.100/32"));
  become_master();
}

TEST_F(VrrpAnnouncerTest, ABeginningThatFailsIsCountedAndTriedAgain) {
  options.wait_for_begin = true;
  open();
  set({kAddress});
  std::filesystem::create_directory(options.files.events());
  EXPECT_FALSE(announcer->begin().ok());
  run_until([&] { return announcer->vrrp_counters().begin_failures >= 3; });
  EXPECT_EQ(announcer->vrrp_counters().starts, 0u);
  std::filesystem::remove(options.files.events());
  run_until([&] { return announcer->vrrp_counters().starts == 1; });
  become_master();
}

TEST_F(VrrpAnnouncerTest, WhoLeavesBeforeItCouldBeginTakesNoFileAnyMore) {
  options.wait_for_begin = true;
  open();
  set({kAddress});
  std::filesystem::create_directory(options.files.events());
  EXPECT_FALSE(announcer->begin().ok());
  announcer->leave([] {});
  std::filesystem::remove(options.files.events());
  for (int i = 0; i < 3; ++i) io.run_one_for(50ms);
  EXPECT_TRUE(std::filesystem::is_empty(options.files.folder));
  EXPECT_EQ(announcer->vrrp_counters().begin_failures, 1u);
}

TEST_F(VrrpAnnouncerTest, ABackupThatBeginsTakesNoAddressFromTheProcessThatStillHoldsIt) {
  options.wait_for_begin = true;
  open();
  set({kAddress});
  ASSERT_TRUE(announcer->begin().ok());
  link->present[kAddress] = Ownership::kOurs;
  event(kAddress, "BACKUP");
  run_until([&] { return announcer->vrrp_counters().transitions == 1; });
  EXPECT_TRUE(link->present.contains(kAddress));
}

TEST_F(VrrpAnnouncerTest, ABackupThatBeginsAloneTakesLeftoversAway) {
  serve();
  link->present[kAddress] = Ownership::kForeign;
  event(kAddress, "BACKUP");
  run_until([&] { return announcer->vrrp_counters().leftovers_removed == 1; });
  EXPECT_FALSE(link->present.contains(kAddress));
}

TEST_F(VrrpAnnouncerTest, LeavingRenewsUntilTheOtherProcessCanAndEndsKeepalivedThen) {
  options.overlap = 500ms;
  options.flags.advert_ms = 10;
  serve();
  become_master();
  const auto pid = announcer->keepalived_pid();
  bool gone = false;
  announcer->leave([&] { gone = true; });
  link->renewed.clear();
  run_until([&] { return link->renewed.contains(kAddress); });
  EXPECT_EQ(::kill(pid, 0), 0);
  run_until([&] { return gone; });
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_THAT(lines, Not(Contains("ended")));
  EXPECT_TRUE(link->present.contains(kAddress));
}

TEST_F(VrrpAnnouncerTest, WhoHasLeftChangesNoFileAndTakesNoAddressAway) {
  serve();
  become_master();
  const auto config = content(options.files.config());
  announcer->leave([] {});
  set({kAddress, ip("192.0.2.101")});
  EXPECT_EQ(content(options.files.config()), config);
  announcer->stop();
  EXPECT_TRUE(link->present.contains(kAddress));
  EXPECT_TRUE(std::filesystem::exists(options.files.events()));
}

// We leave, and another process has put its pipe in the place of ours.
class VrrpLeavingTest : public VrrpAnnouncerTest {
 protected:
  VrrpLeavingTest() { options.overlap = 1h; }

  void leave() {
    serve();
    become_master();
    announcer->leave([this] { ++gone; });
    successor = make_pipe(options.files.events()).value();
  }
  void look_a_few_times() {
    const auto enough = std::chrono::steady_clock::now() + 10 * options.renew;
    run_until([&] { return std::chrono::steady_clock::now() > enough; });
  }

  net::Fd successor;
  int gone = 0;
};

TEST_F(VrrpLeavingTest, WhileTheSuccessorLivesTheAddressesStay) {
  leave();
  look_a_few_times();
  EXPECT_EQ(gone, 0);
  EXPECT_TRUE(link->present.contains(kAddress));
  EXPECT_EQ(announcer->vrrp_counters().successors_lost, 0u);
}

TEST_F(VrrpLeavingTest, ASuccessorThatEndsLeavesItsAddressesToOtherMachinesAtOnce) {
  leave();
  look_a_few_times();
  successor.reset();
  run_until([&] { return gone == 1; });
  EXPECT_THAT(link->present, IsEmpty());
  EXPECT_EQ(announcer->keepalived_pid(), 0);
  EXPECT_EQ(announcer->vrrp_counters().successors_lost, 1u);
  EXPECT_THAT(reports, Contains(HasSubstr("addresses are given up")));
}

TEST_F(VrrpLeavingTest, GivingUpAfterASuccessorIsDoneOnce) {
  leave();
  successor.reset();
  run_until([&] { return gone == 1; });
  look_a_few_times();
  announcer->stop();
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(announcer->vrrp_counters().successors_lost, 1u);
}

TEST_F(VrrpLeavingTest, OneThatLivesElsewhereIsNotMissed) {
  serve();
  become_master();
  announcer->leave([this] { ++gone; });
  look_a_few_times();
  EXPECT_EQ(gone, 0);
  EXPECT_TRUE(link->present.contains(kAddress));
}

// The process before holds the address, and our keepalived starts beside its own.
class VrrpTakeoverTest : public VrrpAnnouncerTest {
 protected:
  VrrpTakeoverTest() {
    options.wait_for_begin = true;
    options.flags.advert_ms = 10;
    options.overlap = 1h;
  }
  void begin_beside(std::set<IpAddress> present) {
    open();
    for (const auto& each : present) link->present[each] = Ownership::kForeign;
    set({kAddress, kOther});
    ASSERT_TRUE(announcer->begin().ok());
    run_until([&] { return testing::Matches(Contains("Startup complete"))(lines); });
  }
  std::string config() const { return content(options.files.config()); }
  uint64_t reloads() const { return announcer->vrrp_counters().reloads; }

  // Of another router.
  const IpAddress kOther = [] {
    uint32_t number = 0xc0000265;
    while (router_of(IpAddress::v4(number), 4) == router_of(kAddress, 4)) ++number;
    return IpAddress::v4(number);
  }();
};

TEST_F(VrrpTakeoverTest, KeepalivedStartsWithoutTheAddressesThatAreThere) {
  begin_beside({kAddress});
  EXPECT_THAT(config(), Not(HasSubstr("192.0.2.100/32")));
  EXPECT_THAT(config(), HasSubstr(kOther.to_string() + "/32"));
}

TEST_F(VrrpTakeoverTest, TheMasterOfAllThatIsThereIsToldOfItInOneReload) {
  begin_beside({kAddress, kOther});
  event(kAddress, "MASTER");
  run_until([&] { return announcer->vrrp_counters().transitions == 1; });
  EXPECT_EQ(reloads(), 0u);
  EXPECT_THAT(config(), Not(HasSubstr("/32 dev eth0")));
  event(kOther, "MASTER");
  run_until([&] { return reloads() == 1; });
  EXPECT_THAT(config(), HasSubstr("192.0.2.100/32"));
  EXPECT_THAT(config(), HasSubstr(kOther.to_string() + "/32"));
  EXPECT_EQ(announcer->vrrp_counters().late_takeovers, 0u);
}

TEST_F(VrrpTakeoverTest, AnAddressThatIsToldLaterIsLeftWhereItIs) {
  begin_beside({kAddress});
  event(kAddress, "MASTER");
  run_until([&] { return reloads() == 1; });
  EXPECT_TRUE(link->present.contains(kAddress));
  EXPECT_EQ(announcer->vrrp_counters().leftovers_removed, 0u);
}

TEST_F(VrrpTakeoverTest, AnAddressThatGoesToAnotherMachineMeanwhileIsToldToTheBackup) {
  begin_beside({kAddress});
  link->present.erase(kAddress);
  run_until([&] { return reloads() == 1; });
  EXPECT_THAT(config(), HasSubstr("192.0.2.100/32"));
  EXPECT_EQ(announcer->vrrp_counters().late_takeovers, 0u);
}

TEST_F(VrrpTakeoverTest, OneThatIsNotOursWhenTheProcessBeforeIsGoneIsCounted) {
  options.overlap = 0ms;
  begin_beside({kAddress});
  run_until([&] { return reloads() == 1; });
  EXPECT_THAT(config(), HasSubstr("192.0.2.100/32"));
  EXPECT_EQ(announcer->vrrp_counters().late_takeovers, 1u);
}

TEST_F(VrrpTakeoverTest, WhenNobodyCanSayWhatIsThereNothingIsTold) {
  open();
  link->unreadable = true;
  set({kAddress});
  ASSERT_TRUE(announcer->begin().ok());
  EXPECT_THAT(config(), Not(HasSubstr("192.0.2.100/32")));
  EXPECT_THAT(reports, Contains("no list"));
  run_until([&] { return testing::Matches(Contains("Startup complete"))(lines); });
  event(kAddress, "MASTER");
  run_until([&] { return reloads() == 1; });
  EXPECT_THAT(config(), HasSubstr("192.0.2.100/32"));
}

TEST_F(VrrpTakeoverTest, AlonePresentAddressesAreToldAtOnce) {
  options.wait_for_begin = false;
  open();
  link->present[kAddress] = Ownership::kForeign;
  set({kAddress});
  EXPECT_THAT(config(), HasSubstr("192.0.2.100/32"));
}

}  // namespace
}  // namespace lb::announce
