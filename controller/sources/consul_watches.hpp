// Which services of Consul are to be asked about next, and from which index on.
//
// A blocking query takes a connection for as long as nothing happens, and an agent grants a client
// some 200 of them. So there are `most` at once: with no more services than that each has one of
// its own and is heard at once; with more they take turns, each question held so short that each
// service has its turn in `round`. Owned by the source, on its thread; pure: the caller brings the
// time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/model/result.hpp"

namespace lb::sources {

// The index to ask from next, by the answer's X-Consul-Index and the index that was asked from: 0,
// which does not wait, where it went backwards; never 0 otherwise, since that would not wait for
// ever. Error "Protocol" where there is none.
Result<uint64_t> next_index(uint64_t asked, const std::optional<std::string>& header);

class ConsulWatches {
 public:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;

  struct Options {
    size_t most = 64;
    Milliseconds wait{
        8'000};  // for news, where each has its own: a token that is refused is told of after it
    Milliseconds round{5'000};  // where they take turns
    Milliseconds pause{100};    // between the beginnings of two questions about one service
  };

  struct Question {
    std::string name;
    uint64_t index = 0;
    Milliseconds wait{0};
  };

  explicit ConsulWatches(Options options) : options_(options) {}

  // These are all there are; those that stay keep their index.
  void follow(const std::set<std::string>& names);
  // Begins anew, without indexes.
  void clear();
  // Whoever has waited longest; nullopt while none is due or too many are under way.
  std::optional<Question> next(Clock::time_point now);
  // When the next may be asked for; nullopt where that depends on an answer.
  std::optional<Clock::time_point> due() const;
  // False: it is no longer followed.
  bool answered(const std::string& name, uint64_t next_index, Clock::time_point now);
  // Each has been answered since it is followed.
  bool whole() const { return unanswered_ == 0; }
  // Without those that are gone and have yet to be answered.
  size_t size() const;
  size_t under_way() const { return under_way_; }

 private:
  struct Watch {
    uint64_t index = 0;
    Clock::time_point asked{}, due{};
    bool busy = false;
    bool answered = false;
    bool followed = true;
  };

  Milliseconds wait() const;

  const Options options_;
  std::map<std::string, Watch> watches_;
  std::set<std::pair<Clock::time_point, std::string>> queue_;  // those that are not busy
  size_t unanswered_ = 0;
  size_t under_way_ = 0;
};

}  // namespace lb::sources
