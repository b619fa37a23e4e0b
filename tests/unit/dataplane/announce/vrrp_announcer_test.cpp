// Files, addresses and counters around a process that plays keepalived, over a link of our own.
#include "dataplane/announce/vrrp_announcer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
const IpAddress kAddress = ip("192.0.2.100");

class FakeLink : public LinkLayer {
 public:
  Result<std::map<IpAddress, Ownership>> addresses() override { return present; }
  Result<LinkState> state() override { return LinkState{}; }
  Status put(const IpAddress& address, unsigned seconds) override {
    renewed[address] = seconds;
    return Done{};
  }
  Status remove(const IpAddress& address) override {
    present.erase(address);
    return Done{};
  }
  Status send_probe(const IpAddress&) override { return Done{}; }
  Status send_announcement(const IpAddress&) override { return Done{}; }
  Status listen(std::function<void(const Claim&)>) override { return Done{}; }
  void stop_listening() override {}

  std::map<IpAddress, Ownership> present;
  std::map<IpAddress, unsigned> renewed;
};

class VrrpAnnouncerTest : public testing::Test {
 protected:
  VrrpAnnouncerTest() {
    std::string name = (std::filesystem::temp_directory_path() / "vrrp-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    options.flags.interface = "eth0";
    options.flags.peers = {ip("192.0.2.2")};
    options.flags.routers = 4;
    options.files.folder = folder + "/vrrp";
    options.self = ip("192.0.2.1");
    options.command = {"/bin/sh", "-c",
                       "trap 'echo reloaded' HUP; trap 'echo ended; exit 0' TERM; "
                       "echo Startup complete; "
                       "while :; do sleep 0.02; done"};
    options.renew = 20ms;
    options.report = [this](const Error& error) { reports.push_back(error.message); };
    options.on_transition = [](unsigned, RouterState) {};
    options.on_line = [this](const std::string& line) { lines.push_back(line); };
  }
  ~VrrpAnnouncerTest() override {
    announcer.reset();
    std::filesystem::remove_all(folder);
  }

  void open() {
    auto fake = std::make_unique<FakeLink>();
    link = fake.get();
    auto opened = VrrpAnnouncer::open(io, std::move(fake), options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    announcer = std::move(opened).value();
  }
  void set(std::set<IpAddress> addresses) {
    bool done = false;
    std::vector<Vip> vips;
    for (const auto& each : addresses) vips.push_back({each, {{Protocol::kTcp, 80}}});
    announcer->expect(addresses);
    announcer->set(vips, [&](Announcer::Failures) { done = true; });
    run_until([&] { return done; });
  }
  void serve() {
    open();
    set({kAddress});
    run_until([&] { return testing::Matches(Contains("Startup complete"))(lines); });
  }
  // As keepalived does it: the address first, then the event.
  void event(const IpAddress& address, const char* state) {
    std::ofstream pipe(options.files.events());
    pipe << "INSTANCE \"router-" << router_of(address, 4) << "\" " << state << " 250\n";
  }
  void become_master() {
    link->present[kAddress] = Ownership::kForeign;
    event(kAddress, "MASTER");
    run_until([&] { return link->renewed.contains(kAddress); });
  }
  template <class Until>
  void run_until(Until until) {
    for (const auto end = std::chrono::steady_clock::now() + 20s;
         !until() && std::chrono::steady_clock::now() < end;) {
      io.run_one_for(50ms);
      io.restart();
    }
    EXPECT_TRUE(until());
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string track() const { return content(options.files.track(router_of(kAddress, 4))); }
  asio::io_context io;
  std::string folder;
  VrrpOptions options;
  FakeLink* link = nullptr;
  std::unique_ptr<VrrpAnnouncer> announcer;
  std::vector<std::string> reports, lines;
};

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

TEST_F(VrrpAnnouncerTest, StoppingTakesTheAddressesAndThePipeAway) {
  serve();
  become_master();
  announcer->stop();
  EXPECT_THAT(link->present, IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(options.files.events()));
}

}  // namespace
}  // namespace lb::announce
