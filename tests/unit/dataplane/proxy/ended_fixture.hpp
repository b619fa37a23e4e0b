// A data path that logs every connection, and what one listener of it counts.
#pragma once

#include <mutex>
#include <numeric>

#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {

class EndedTest : public UdpPathTest {
 protected:
  EndedTest() {
    remake({.workers = 2,
            .post = [this](auto task) { asio::post(control_, std::move(task)); },
            .on_close = [this](const FlowRecord& record) { note(record); },
            .log_each = 1});
  }
  void remake(DataPathOptions options) {
    on_control([&] { path_ = make_data_path(std::move(options)); });
  }

  std::vector<FlowRecord> records() {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  std::vector<PortTotals> all_totals() {
    std::vector<PortTotals> out;
    on_control([&] { out = path_->totals(); });
    return out;
  }
  PortTotals totals() {
    const auto all = all_totals();
    return all.empty() ? PortTotals{} : all[0];
  }
  uint64_t ended(EndReason how) { return totals().ended[static_cast<size_t>(how)]; }
  uint64_t refused(Refusal rule) { return totals().refused[static_cast<size_t>(rule)]; }

  // One has, in this way, and none otherwise.
  void expect_ended(EndReason how) {
    EXPECT_TRUE(eventually([&] { return ended(how) == 1; })) << to_string(how);
    EXPECT_EQ(totals().closed, 1u);
    EXPECT_EQ(sum(totals().ended), 1u);
  }
  // So many were, all by this rule.
  void expect_refused(Refusal rule, uint64_t count = 1) {
    EXPECT_TRUE(eventually([&] { return refused(rule) == count; })) << to_string(rule);
    EXPECT_EQ(sum(totals().refused), count);
  }
  // One record is of a client that was refused, by this rule.
  void expect_told(Refusal rule) {
    std::vector<FlowRecord> told;
    EXPECT_TRUE(eventually([&] {
      told = records();
      std::erase_if(told, [](const FlowRecord& each) { return !each.refusal; });
      return !told.empty();
    })) << to_string(rule);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].reason, EndReason::kRefused);
    EXPECT_EQ(told[0].refusal, rule);
  }
  template <size_t kCount>
  static uint64_t sum(const std::array<uint64_t, kCount>& of) {
    return std::accumulate(of.begin(), of.end(), uint64_t{0});
  }
  static Cidr range(const char* text) { return Cidr::parse(text).value(); }

  void note(const FlowRecord& record) {
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
  }

 private:
  std::mutex mutex_;
  std::vector<FlowRecord> records_;
};

}  // namespace lb::proxy
