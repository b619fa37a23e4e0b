// A text that is dear to make, shared by all who ask for it.
//
// However often it is asked for, making it takes a twentieth of the time at most, and kMostCredit:
// after a making that took d, the same text is given out for up to 20 d. Who holds a text keeps it
// alive; nothing copies it. One thread. get() throws what the maker throws, unless there is a text
// of before that is to be given out; the time that a failure took counts as well.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace lb::ops {

class CostlyText {
 public:
  using Clock = std::chrono::steady_clock;
  using Text = std::shared_ptr<const std::string>;

  // Of so much time without being asked, so much may be spent at once: who asks now and then, for a
  // text that takes little, is told what is.
  static constexpr int kShare = 20;
  static constexpr std::chrono::milliseconds kMostCredit{100};

  explicit CostlyText(std::function<std::string()> make,
                      std::function<Clock::time_point()> now = Clock::now);

  // Never null.
  Text get();

 private:
  void make();

  const std::function<std::string()> make_;
  const std::function<Clock::time_point()> now_;
  Clock::duration credit_ = kMostCredit;  // of time to make it; below zero after a long making
  Clock::time_point seen_;                // until when credit_ is earned
  Text text_;
};

}  // namespace lb::ops
