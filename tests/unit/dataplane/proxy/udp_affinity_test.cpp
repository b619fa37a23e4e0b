// A client address and the backend that its UDP sessions go to.
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpAffinityTest : public UdpRelayTest, public testing::WithParamInterface<std::string> {
 protected:
  UdpAffinityTest() {
    policy_.affinity_seconds = 600;
    for (int i = 0; i < 3; ++i) backends_.push_back(std::make_unique<UdpSocket>(GetParam()));
    for (const auto& backend : backends_) endpoints_.push_back(backend->endpoint);
  }
  // Where a new port of that address is sent.
  size_t backend_of_new_client(const std::string& address = GetParam()) {
    clients_.emplace_back(address);
    clients_.back().send("x", address_);
    size_t found = SIZE_MAX;
    EXPECT_TRUE(eventually([&] {
      for (size_t i = 0; i < backends_.size(); ++i) {
        if (backends_[i] && backends_[i]->receive()) found = i;
      }
      return found != SIZE_MAX;
    }));
    return found;
  }
  std::vector<Endpoint> without(size_t index) const {
    std::vector<Endpoint> out = endpoints_;
    out.erase(out.begin() + long(index));
    return out;
  }

  std::vector<std::unique_ptr<UdpSocket>> backends_;
  std::vector<Endpoint> endpoints_;
  std::vector<UdpSocket> clients_;
};
INSTANTIATE_TEST_SUITE_P(Families, UdpAffinityTest, testing::Values("127.0.0.1", "::1"));

TEST_P(UdpAffinityTest, EveryPortOfAnAddressGoesToOneBackend) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(backend_of_new_client(), first);
}

TEST_P(UdpAffinityTest, WithoutItPortsAreSpread) {
  policy_.affinity_seconds = 0;
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  EXPECT_NE(backend_of_new_client(), first);
}

TEST_P(UdpAffinityTest, IsForgottenWhenItsTimeIsOver) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  pass_time(600'000);
  EXPECT_NE(backend_of_new_client(), first);
}

TEST_P(UdpAffinityTest, LastsFromTheLastSessionOn) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  for (int i = 0; i < 4; ++i) {
    pass_time(400'000);
    EXPECT_EQ(backend_of_new_client(), first);
  }
}

TEST_P(UdpAffinityTest, OutlivesChangesOfOtherBackends) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  update(without((first + 1) % 3));
  EXPECT_EQ(backend_of_new_client(), first);
  update(endpoints_);
  EXPECT_EQ(backend_of_new_client(), first);
}

TEST_P(UdpAffinityTest, SessionsOfOneAddressMoveTogether) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  for (int i = 0; i < 5; ++i) backend_of_new_client();
  update(without(first));
  EXPECT_EQ(counters().moved, 6u);
  uint64_t most = 0;
  for (const auto& backend : records_) most = std::max(most, backend->connections.load());
  EXPECT_EQ(most, 6u);
}

TEST_P(UdpAffinityTest, DoesNotHoldToABackendThatIsCalledDown) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  record(endpoints_[first])->health = Health::kDown;
  const size_t next = backend_of_new_client();
  EXPECT_NE(next, first);
  record(endpoints_[first])->health = Health::kUp;
  EXPECT_EQ(backend_of_new_client(), next) << "it is the later one that is remembered";
}

TEST_P(UdpAffinityTest, DoesNotHoldToABackendThatIsNotReady) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  states_[endpoints_[first]] = BackendState::kNotReady;
  update(endpoints_);
  EXPECT_NE(backend_of_new_client(), first);
}

TEST_P(UdpAffinityTest, FollowsASessionThatWasRefused) {
  serve_at(GetParam(), endpoints_);
  const size_t first = backend_of_new_client();
  backends_[first].reset();
  const size_t second = backend_of_new_client();
  ASSERT_NE(second, first);
  EXPECT_FALSE(record(endpoints_[first])->out()) << "one refusal is no ejection";
  EXPECT_EQ(backend_of_new_client(), second);
}

}  // namespace
}  // namespace lb::proxy
