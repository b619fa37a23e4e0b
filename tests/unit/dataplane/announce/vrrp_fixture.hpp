// An announcer around a process that plays keepalived, over a link of our own.
#pragma once

#include "dataplane/announce/vrrp_announcer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/support/temporary_folder.hpp"

namespace lb::announce {

using namespace std::chrono_literals;

inline IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
inline const IpAddress kAddress = ip("192.0.2.100");

class FakeLink : public LinkLayer {
 public:
  Result<std::map<IpAddress, Ownership>> addresses() override {
    if (unreadable) return Error{"Netlink", "no list"};
    return present;
  }
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

  bool unreadable = false;
  std::map<IpAddress, Ownership> present;
  std::map<IpAddress, unsigned> renewed;
};

class VrrpAnnouncerTest : public testing::Test {
 protected:
  VrrpAnnouncerTest() {
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
  // Tells what happens at its end, so it goes before what hears it.
  ~VrrpAnnouncerTest() override { announcer.reset(); }

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
    run_until([&] { return testing::Matches(testing::Contains("Startup complete"))(lines); });
  }
  // As keepalived does it: the address first, then the event.
  void event(const IpAddress& address, const char* state) {
    std::ofstream(options.files.events()) << line(address, state);
  }
  static std::string line(const IpAddress& address, const char* state) {
    return "INSTANCE \"router-" + std::to_string(router_of(address, 4)) + "\" " + state + " 250\n";
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
  const test::TemporaryFolder temporary;
  const std::string folder = temporary.path();
  VrrpOptions options;
  FakeLink* link = nullptr;
  std::unique_ptr<VrrpAnnouncer> announcer;
  std::vector<std::string> reports, lines;
};

}  // namespace lb::announce
