// What goes wrong in what the cluster says and takes: order, writes of others, refusals, clocks.
#include <sys/syscall.h>
#include <time.h>

#include <atomic>

#include "tests/unit/controller/faults/faults_fixture.hpp"

namespace {
std::atomic<int64_t> clock_jump{0};  // seconds
}

// Every reading of the wall clock in this process comes through these two.
extern "C" int clock_gettime(clockid_t clock, struct timespec* out) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, out);
  if (result == 0 && clock == CLOCK_REALTIME) out->tv_sec += clock_jump;
  return static_cast<int>(result);
}
extern "C" time_t time(time_t* out) noexcept {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using test::FakeApiServer;
using testing::Ge;
using testing::HasSubstr;

class ClusterFaults : public FaultsTest {
 protected:
  ~ClusterFaults() override { clock_jump = 0; }

  void claim_in_status(const std::string& service, const std::string& address) {
    server.with([&](auto& cluster) {
      cluster.edit(kube::kServices, "d", service, [&](Json& object) {
        const Json ingress{{"ip", address}, {"ipMode", "Proxy"}};
        object["status"]["loadBalancer"]["ingress"] = Json::array({ingress});
      });
    });
  }
  std::string dump(const std::string& service) {
    return server.with(
        [&](auto& cluster) { return cluster.find(kube::kServices, "d", service)->dump(); });
  }
};

TEST_F(ClusterFaults, SlicesBeforeTheirServiceAndAfterItsEnd) {
  put_slice("new", "10.0.0.9");
  run(50ms);
  put_service("new");
  ASSERT_TRUE(until([this] { return rig->publishes(key("new"), "10.0.0.9"); }));
  ASSERT_TRUE(until([this] { return addresses().size() == 4; }));
  remove(kube::kServices, "new");
  ASSERT_TRUE(until([this] { return addresses() == before; }));
  put_slice("new", "10.0.0.8");
  recovers();
}

TEST_F(ClusterFaults, TwoStatusesThatNameOneAddress) {
  const std::string of_web = before["web"].substr(0, before["web"].find(' '));
  claim_in_status("late", of_web);
  put_slice("web", "10.0.0.2");  // planned again while both statuses name it
  ASSERT_TRUE(until([this] { return addresses() == before; })) << dump("late");
  recovers();
}

TEST_F(ClusterFaults, WritesThatAreRefusedForAWhile) {
  server.refuse(503, 4, FakeApiServer::Which::kWrites);
  put_service("new");
  ASSERT_TRUE(until([this] { return addresses().size() == 4; }));
  before = addresses();
  EXPECT_EQ(server.counts().refused, 4u);
  recovers();
}

TEST_F(ClusterFaults, OthersWriteAllTheTime) {
  put_service("new");
  for (int i = 0; i < 200 && addresses().size() < 4; ++i) {
    server.with([&](auto& cluster) {
      cluster.edit(kube::kServices, "d", "new", [&](Json& object) {
        object["metadata"]["annotations"]["others/count"] = std::to_string(i);
      });
    });
    run(5ms);
  }
  ASSERT_TRUE(until([this] { return addresses().size() == 4; }));
  before = addresses();
  EXPECT_THAT(dump("new"), HasSubstr("others/count"));
  recovers();
}

TEST_F(ClusterFaults, TheWallClockJumpsTenYearsAheadAndBack) {
  clock_jump = 10LL * 365 * 86400;
  put_service("new");
  ASSERT_TRUE(until([this] { return addresses().size() == 4; }));
  before = addresses();
  EXPECT_THAT(dump("new"), HasSubstr("2036-")) << "the jump did not reach the controller";
  recovers(2s);
  clock_jump = -10LL * 365 * 86400;
  server.end_watches();
  put_slice("web", "10.0.0.1");
  ASSERT_TRUE(until([this] { return rig->publishes(key("web"), "10.0.0.1"); }));
  recovers(5s);
}

TEST_F(ClusterFaults, AServerThatDoesNotKnowWatchList) {
  server.set_watch_list(false);
  server.expire(/*as_event=*/true);
  recovers(10s);
  EXPECT_THAT(server.counts().lists, Ge(3u));
}

}  // namespace
}  // namespace lb::controller
