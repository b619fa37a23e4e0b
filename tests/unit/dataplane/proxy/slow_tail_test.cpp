// What a kernel of ours still has to send is neither idle nor uncounted.
#include "tests/unit/dataplane/proxy/checklist_support.hpp"

namespace lb::proxy {
namespace {

class SlowTailTest : public DataPathTest {
 protected:
  struct Through {
    Fd client, backend;
  };
  Through connect_through() {
    serve({server_.port});
    Through out;
    out.client = dial_narrow(port_);
    out.backend = server_.accept_one();
    return out;
  }
  // The backend says all it has to; the client takes about twice the limit to read it.
  void expect_whole(bool and_ends) {
    Through through = connect_through();
    const std::string all = numbered(800'000);
    write_all(through.backend.get(), all);
    if (and_ends) shutdown(through.backend.get(), SHUT_WR);
    Received got;
    std::string block(4'000, '\0');
    while (got.bytes.size() < all.size()) {
      const ssize_t n = recv(through.client.get(), block.data(), block.size(), 0);
      ASSERT_GT(n, 0) << "after " << got.bytes.size() << " bytes";
      got.bytes.append(block, 0, size_t(n));
      pause_ms(10);  // the rate is the subject
    }
    EXPECT_EQ(got.bytes, all);
    EXPECT_EQ(counters().idle_timeouts, 0U);
  }
  void expect_reset_unread() {
    const Through through = connect_through();
    write_all(through.backend.get(), std::string(800'000, 'x'));
    EXPECT_TRUE(eventually([&] { return counters().idle_timeouts == 1; }));
    EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  }

  Server server_;
};

TEST_F(SlowTailTest, IsNotIdle) {
  policy_.idle_timeout_s = 1;
  expect_whole(false);
}

TEST_F(SlowTailTest, IsNotIdleBehindAnEnd) {
  policy_.half_closed_timeout_s = 1;
  expect_whole(true);
}

TEST_F(SlowTailTest, IsIdleOnceNobodyReadsIt) {
  policy_.idle_timeout_s = 1;
  expect_reset_unread();
}

TEST_F(SlowTailTest, IsIdleOnceItIsOver) {
  policy_.idle_timeout_s = 1;
  Through through = connect_through();
  write_all(through.backend.get(), numbered(100'000));
  Received got = receive_all(through.client);
  EXPECT_EQ(got.bytes.size(), 100'000U);
  EXPECT_EQ(got.error, ECONNRESET);
  EXPECT_EQ(counters().idle_timeouts, 1U);
}

TEST_F(SlowTailTest, IsCountedWhenItsSenderHasReset) {
  Through through = connect_through();
  const size_t sent = fill(through.backend);
  ASSERT_GT(sent, 0U);
  reset(through.backend);
  const Received got = receive_all(through.client);
  EXPECT_EQ(got.error, ECONNRESET);
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_EQ(counters().bytes_out, got.bytes.size());
  PortTotals totals;
  on_control([&] { totals = path_->totals().at(0); });
  EXPECT_EQ(totals.bytes_out, got.bytes.size());
  EXPECT_EQ(totals.backends.at(0).bytes_out, got.bytes.size());
}

}  // namespace
}  // namespace lb::proxy
