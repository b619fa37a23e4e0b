// News and checks when memory runs out in the middle of a change: what was interrupted is made
// good by the next one.
#include <gmock/gmock.h>

#include "dataplane/checked_path.hpp"
#include "dataplane/status_board.hpp"
#include "tests/unit/dataplane/program/fake_path.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::dataplane {
namespace {

using namespace std::chrono_literals;
using proxy::FailingNew;
using testing::UnorderedElementsAre;

constexpr int64_t kMost = 500;  // allocations of one change

const std::string kLong = "file/with-a-name-that-is-longer-than-fits-into-a-string-itself";

ServiceReport one(const std::string& key, bool programmed) {
  PortReport port;
  port.port = 80;
  port.programmed = programmed;
  return {key, {port}};
}

// Each allocation of the change is refused in turn; how many there were.
template <class Begin, class Change, class Check>
int64_t refused_each(const Begin& begin, const Change& change, const Check& check) {
  for (int64_t number = 0; number < kMost; ++number) {
    SCOPED_TRACE(number);
    begin();
    bool failed = false;
    try {
      const FailingNew failing(number);
      change();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    check();
    if (!failed || testing::Test::HasFailure()) return number;
  }
  return kMost;
}

TEST(NewsMemoryTest, WhateverWasNotedOfAnInterruptedUpdateIsNews) {
  std::optional<StatusBoard> board;
  std::string since;
  std::vector<ServiceReport> news;
  const int64_t refused = refused_each(
      [&] {
        board.emplace("i");
        board->update({1, 1}, {}, {one("a", false), one(kLong, false), one("c", false)});
        since = board->view(std::nullopt).rev;
        news = {one("a", true), one(kLong, true), one(kLong + "2", true)};
      },
      [&] {
        board->update({1, 2}, {}, std::move(news));
      },
      [&] {
        board->update({1, 2}, {}, {one("a", true), one(kLong, true), one(kLong + "2", true)});
        const auto view = board->view(since);
        EXPECT_TRUE(view.news);
        EXPECT_THAT(view.services,
                    UnorderedElementsAre(one("a", true), one(kLong, true), one(kLong + "2", true)));
        EXPECT_THAT(view.removed, UnorderedElementsAre("c"));
      });
  EXPECT_GT(refused, 5);
  EXPECT_LT(refused, kMost);
}

TEST(NewsMemoryTest, AReaderThatHeardOfHalfAnUpdateHearsOfTheRest) {
  std::optional<StatusBoard> board;
  std::string since;
  std::vector<ServiceReport> news;
  const int64_t refused = refused_each(
      [&] {
        board.emplace("i");
        board->update({1, 1}, {}, {one("a", false), one("b", false)});
        since = board->view(std::nullopt).rev;
        news = {one("a", true), one("b", true), one(kLong, true)};
      },
      [&] {
        board->update({1, 1}, {}, std::move(news));
      },
      [&] {
        const auto half = board->view(since);
        size_t heard = half.services.size();
        board->update({1, 1}, {}, {one("a", true), one("b", true), one(kLong, true)});
        heard += board->view(half.rev).services.size();
        EXPECT_EQ(heard, 3u);
      });
  EXPECT_GT(refused, 3);
}

class CheckMemoryTest : public testing::Test {
 protected:
  void begin() {
    checked_.reset();
    auto fake = std::make_unique<FakePath>();
    path_ = fake.get();
    checked_ = std::make_unique<CheckedPath>(io_, std::move(fake), [](const auto&, const auto&) {});
  }
  // Nobody listens at port 1.
  static std::shared_ptr<const DesiredState> state(uint64_t generation) {
    Service out = service(kLong, "192.0.2.1", {"127.0.0.1", "127.0.0.2"});
    for (auto& backend : out.ports[0].backends) backend.port = 1;
    out.ports[0].policy.health.type = HealthType::kTcp;
    out.ports[0].policy.health.interval_ms = 50;
    return std::make_shared<const DesiredState>(DesiredState{{1, generation}, {out}});
  }
  bool is_down(const char* backend) const {
    const auto found = path_->healths.find({kLong, 80, Protocol::kTcp, {ip(backend), 1}});
    return found != path_->healths.end() && found->second.first == proxy::Health::kDown;
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io_.run_one_for(20ms);
      io_.restart();
    }
    return holds();
  }

  asio::io_context io_;
  FakePath* path_ = nullptr;
  std::unique_ptr<CheckedPath> checked_;
};

TEST_F(CheckMemoryTest, BackendsWhoseChecksWereInterruptedAreCheckedAfterTheNextChange) {
  std::shared_ptr<const DesiredState> first, second;
  const int64_t refused = refused_each(
      [&] {
        begin();
        first = state(1);
        second = state(2);
      },
      [&] { checked_->apply(first, [](auto) {}); },
      [&] {
        checked_->apply(second, [](auto) {});
        EXPECT_TRUE(run_until([&] { return is_down("127.0.0.1") && is_down("127.0.0.2"); }));
      });
  EXPECT_GT(refused, 10);
  EXPECT_LT(refused, kMost);
}

}  // namespace
}  // namespace lb::dataplane
