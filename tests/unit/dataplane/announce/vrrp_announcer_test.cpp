// Files, addresses and counters around a process that plays keepalived, over a link of our own.
#include "vrrp_fixture.hpp"

namespace lb::announce {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(VrrpAnnouncerTest, AnAddressThatIsOursIsRenewedForFiveSeconds) {
  serve();
  become_master();
  EXPECT_EQ(link->renewed[kAddress], 5u);
  EXPECT_EQ(announcer->addresses_held(), 1u);
  EXPECT_EQ(announcer->vrrp_counters().transitions, 1u);
  EXPECT_GE(announcer->counters().renewals, 1u);
}

TEST_F(VrrpAnnouncerTest, AnAddressThatKeepalivedHasNotAddedIsNotAddedByUs) {
  serve();
  event(kAddress, "MASTER");
  run_until([&] { return announcer->addresses_held() == 1; });
  for (int i = 0; i < 3; ++i) io.run_one_for(50ms);
  EXPECT_THAT(link->renewed, IsEmpty());
}

TEST_F(VrrpAnnouncerTest, ARenewalThatCrossedWithALossIsTakenBack) {
  serve();
  become_master();
  event(kAddress, "BACKUP");
  run_until([&] { return announcer->addresses_held() == 0; });
  EXPECT_FALSE(link->present.contains(kAddress));
  EXPECT_EQ(announcer->vrrp_counters().leftovers_removed, 1u);
}

// More than is read at once: what comes first must not be acted on alone.
TEST_F(VrrpAnnouncerTest, OfStatesThatComeTogetherOnlyTheLastCounts) {
  serve();
  link->present[kAddress] = Ownership::kForeign;
  const std::string other =
      "INSTANCE \"router-" + std::to_string((router_of(kAddress, 4) + 1) % 4) + "\" ";
  std::string told = line(kAddress, "MASTER");
  for (int i = 0; i < 1000; ++i) told += other + (i % 2 == 0 ? "MASTER 250\n" : "BACKUP 250\n");
  std::ofstream(options.files.events()) << told << line(kAddress, "BACKUP");
  run_until([&] { return announcer->vrrp_counters().transitions == 2; });
  EXPECT_THAT(link->renewed, IsEmpty()) << "it is no longer ours";
  EXPECT_EQ(announcer->addresses_held(), 0u);
}

TEST_F(VrrpAnnouncerTest, ALineThatComesInPartsIsTakenWhole) {
  serve();
  link->present[kAddress] = Ownership::kForeign;
  const std::string whole = line(kAddress, "MASTER");
  std::ofstream pipe(options.files.events());
  pipe << line(kAddress, "BACKUP") << whole.substr(0, 12) << std::flush;
  run_until([&] { return announcer->vrrp_counters().transitions == 1; });
  pipe << whole.substr(12) << std::flush;
  run_until([&] { return announcer->addresses_held() == 1; });
}

TEST_F(VrrpAnnouncerTest, AddressesLeaveWithKeepalivedWhichStartsAgain) {
  serve();
  become_master();
  const auto pid = announcer->keepalived_pid();
  ::kill(pid, SIGKILL);
  run_until([&] { return announcer->vrrp_counters().deaths == 1; });
  EXPECT_FALSE(link->present.contains(kAddress));
  EXPECT_EQ(announcer->addresses_held(), 0u);
  run_until([&] { return announcer->vrrp_counters().starts == 2; });
}

TEST_F(VrrpAnnouncerTest, OnlyAChangeReloads) {
  serve();
  set({kAddress});
  EXPECT_EQ(announcer->vrrp_counters().reloads, 0u);
  set({kAddress, ip("192.0.2.101")});
  EXPECT_EQ(announcer->vrrp_counters().reloads, 1u);
  EXPECT_THAT(content(options.files.config()), HasSubstr("192.0.2.101/32"));
}

TEST_F(VrrpAnnouncerTest, WithoutAnyAddressNoRouterIsHeld) {
  open();
  set({});
  EXPECT_EQ(track(), "-300\n");
  set({kAddress});
  EXPECT_EQ(track(), "0\n");
}

TEST_F(VrrpAnnouncerTest, AnAddressThatCannotBeServedHereHandsItsRouterToOthers) {
  serve();
  announcer->expect({kAddress});
  announcer->set({}, [](Announcer::Failures) {});
  EXPECT_EQ(track(), "-100\n");
}

TEST_F(VrrpAnnouncerTest, GivingUpIsForGood) {
  serve();
  announcer->give_up();
  EXPECT_EQ(track(), "-300\n");
  set({kAddress, ip("192.0.2.101")});
  EXPECT_EQ(track(), "-300\n");
}

TEST_F(VrrpAnnouncerTest, TheFilterStandsBeforeKeepalivedStarts) {
  std::function<void()> in_force;
  options.set_filter = [&](const auto&, std::function<void()> done) { in_force = std::move(done); };
  open();
  announcer->set({{kAddress, {}}}, [](Announcer::Failures) {});
  EXPECT_EQ(announcer->vrrp_counters().starts, 0u);
  in_force();
  EXPECT_EQ(announcer->vrrp_counters().starts, 1u);
}

TEST_F(VrrpAnnouncerTest, AnAddressWaitsForItsOwnFilterAndNotForAnEarlierOne) {
  std::vector<std::function<void()>> in_force;
  options.set_filter = [&](const auto&, std::function<void()> done) {
    in_force.push_back(std::move(done));
  };
  open();
  announcer->set({{kAddress, {}}}, [](Announcer::Failures) {});
  announcer->set({{kAddress, {}}, {ip("192.0.2.101"), {}}}, [](Announcer::Failures) {});
  ASSERT_EQ(in_force.size(), 2u);
  in_force[0]();
  EXPECT_THAT(content(options.files.config()), Not(HasSubstr("192.0.2.101")));
  in_force[1]();
  EXPECT_THAT(content(options.files.config()), HasSubstr("192.0.2.101/32"));
}

TEST_F(VrrpAnnouncerTest, WhoAskedIsLetGoOfByTheThreadThatAskedWhateverTheFiltersDoes) {
  std::function<void()> of_the_filter;
  options.set_filter = [&](const auto&, std::function<void()> in_force) {
    of_the_filter = in_force;
    asio::post(io, std::move(in_force));
  };
  open();
  std::thread::id let_go_by;
  bool told = false;
  auto asked =
      std::shared_ptr<void>(nullptr, [&](void*) { let_go_by = std::this_thread::get_id(); });
  announcer->set({}, [&, asked = std::exchange(asked, {})](Announcer::Failures) { told = true; });
  run_until([&] { return told; });
  std::thread([&] { of_the_filter = {}; }).join();
  EXPECT_EQ(let_go_by, std::this_thread::get_id());
}

TEST_F(VrrpAnnouncerTest, OtherChangesBringNoAddressBeforeItsFilterEither) {
  std::function<void()> in_force;
  options.set_filter = [&](const auto&, std::function<void()> done) { in_force = std::move(done); };
  options.wait_for_begin = true;
  open();
  announcer->set({{kAddress, {}}}, [](Announcer::Failures) {});
  ASSERT_TRUE(announcer->begin().ok());
  EXPECT_EQ(announcer->vrrp_counters().starts, 0u);
  in_force();
  EXPECT_EQ(announcer->vrrp_counters().starts, 1u);
}

TEST_F(VrrpAnnouncerTest, AChangedFileOfPeersIsReadAgain) {
  options.flags.peers_file = folder + "/peers";
  std::ofstream(options.flags.peers_file) << "192.0.2.1 192.0.2.3\n";
  serve();
  EXPECT_THAT(content(options.files.config()), HasSubstr("    192.0.2.3\n"));
  std::ofstream(options.flags.peers_file) << "192.0.2.4\n";
  run_until([&] { return announcer->vrrp_counters().reloads == 1; });
  EXPECT_THAT(content(options.files.config()), HasSubstr("    192.0.2.4\n"));
  EXPECT_THAT(content(options.files.config()), Not(HasSubstr("192.0.2.3")));
}

TEST_F(VrrpAnnouncerTest, ABadFileOfPeersKeepsTheLastGoodOnesAndIsToldOnce) {
  options.flags.peers_file = folder + "/peers";
  std::ofstream(options.flags.peers_file) << "192.0.2.3\n";
  serve();
  std::ofstream(options.flags.peers_file) << "nonsense\n";
  run_until([&] { return announcer->vrrp_counters().peer_errors >= 3; });
  EXPECT_THAT(reports, testing::ElementsAre(HasSubstr("nonsense")));
  EXPECT_THAT(content(options.files.config()), HasSubstr("    192.0.2.3\n"));
}

TEST_F(VrrpAnnouncerTest, AFileThatCannotBeWrittenIsCounted) {
  serve();
  std::filesystem::create_directory(options.files.config() + ".new");
  set({kAddress, ip("192.0.2.101")});
  EXPECT_EQ(announcer->vrrp_counters().write_failures, 1u);
  EXPECT_THAT(reports, testing::SizeIs(1));
}

TEST_F(VrrpAnnouncerTest, StoppingTakesTheAddressesAndThePipeAway) {
  serve();
  become_master();
  announcer->stop();
  EXPECT_THAT(link->present, IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(options.files.events()));
}

}  // namespace
}  // namespace lb::announce
