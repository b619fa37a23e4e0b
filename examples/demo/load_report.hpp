// What a load run has seen: counts, shares, and every failure with its cause. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace demo {

// Milliseconds since the Unix epoch, so that runs on one machine can be laid beside other logs.
using UnixMs = int64_t;

struct Outcome {
  UnixMs began = 0;
  UnixMs ended = 0;
  std::string backend;  // who answered; empty when nobody did
  std::string failure;  // "refused", "reset", "timeout", "eof", "unreachable", "bad"; empty: none
};

class LoadReport {
 public:
  void add(const Outcome& outcome);

  uint64_t ok() const { return ok_; }
  uint64_t failed() const { return failed_; }
  std::string to_json() const;

 private:
  struct Share {
    uint64_t count = 0;
    UnixMs first = 0;
    UnixMs last = 0;  // when the last connection that it answered was begun
  };

  uint64_t ok_ = 0;
  uint64_t failed_ = 0;
  std::map<std::string, Share> backends_;
  std::map<std::string, uint64_t> causes_;
  std::vector<Outcome> failures_;  // the first of them
  std::vector<UnixMs> times_;
};

}  // namespace demo
