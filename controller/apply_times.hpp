// How long one data plane takes to apply what changes, and for how long it is behind.
//
// Pure: the caller says what the time is, on a steady clock, one thread. A change counts from when
// it was wanted until it is acknowledged, through every refusal and retry between; one that was
// undone before it was sent counts for nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/ops/metrics.hpp"

namespace lb::controller {

class ApplyTimes {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  // Something else is wanted under this key.
  void changed(const std::string& key, Time now) { waiting_.emplace(key, now); }
  // The data plane may hold something else, although nothing has changed: it joins, or begins anew.
  void unknown(Time now);
  // Everything that has changed until now is on its way, or needs not go.
  void sent();
  void nothing_to_send() { waiting_.clear(); }
  void acknowledged(Time now);

  // Since when it may not hold what is wanted; 0: it does.
  Seconds age(Time now) const;
  ops::HistogramSample histogram() const;

 private:
  // Upper bounds in seconds; the last bucket has none.
  static constexpr std::array<double, 12> kBounds = {.01, .025, .05, .1, .25, .5,
                                                     1,   2.5,  5,   10, 30,  60};
  void count(Seconds took);

  std::map<std::string, Time> waiting_;  // by key, when it first changed
  std::map<std::string, Time> sent_;
  std::optional<Time> unknown_;
  std::array<uint64_t, kBounds.size() + 1> buckets_{};
  double sum_ = 0;
};

}  // namespace lb::controller
