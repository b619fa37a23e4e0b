// Writes the status of AddressPools when it changes, each pool at most once per interval.
//
// Lives on the io_context's thread; the writer must outlive it and be stopped before it is
// destroyed. What nobody would see is not written: the same status again. A write that is refused
// is tried again after a pause that doubles, up to 64 intervals, and is counted. Where nothing is
// known (no leadership, nothing planned yet) the callback gives nothing, and what was written is
// forgotten: another controller may write meanwhile.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "common/net/asio.hpp"
#include "controller/core/pool_status.hpp"
#include "controller/kube/api_writer.hpp"

namespace lb::controller {

struct PoolReporterCounters {
  uint64_t writes = 0, failures = 0;
};

class PoolReporter {
 public:
  using Statuses = std::map<std::string, plan::PoolStatus>;
  struct Options {
    std::function<Statuses()> statuses;  // by name of the pool
    std::chrono::milliseconds interval{2'000};
  };

  PoolReporter(asio::io_context& io, Options options, kube::ApiWriter& writer);

  void start();
  void stop();
  // What was written is anybody's guess now: a leadership has ended, and with it writes on their
  // way. Between two looks it may have begun again.
  void forget() { written_.clear(); }
  const PoolReporterCounters& counters() const { return counters_; }

 private:
  using Clock = asio::steady_timer::clock_type;
  struct Written {
    plan::PoolStatus status;
    bool known = false;          // it is written, or on its way
    unsigned refusals = 0;       // one after the other
    Clock::time_point due = {};  // not before
  };

  void tick();
  void report();
  void write(const std::string& name, const plan::PoolStatus& status);
  void written(const std::string& name, const plan::PoolStatus& status, int answer,
               const std::string& body);

  asio::io_context& io_;
  const Options options_;
  kube::ApiWriter& writer_;
  asio::steady_timer timer_;
  PoolReporterCounters counters_;
  std::map<std::string, Written> written_;
  bool stopped_ = false;
};

}  // namespace lb::controller
