// Which reasons were told lately, so that what happens to each connection is told once.
//
// Any thread. Costs a pointer until the first reason comes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

namespace lb::proxy {

class ToldReasons {
 public:
  static constexpr size_t kMost = 8;
  static constexpr uint64_t kAgainMs = 3'600'000;

  ToldReasons() = default;
  ToldReasons(const ToldReasons&) = delete;
  ToldReasons& operator=(const ToldReasons&) = delete;
  ~ToldReasons() { delete slots_.load(); }

  // Whether it is to be told now: by one caller only, of those that ask at once. `reason` lives for
  // ever; more than kMost are not told. Throws std::bad_alloc.
  bool is_news(const char* reason, uint64_t now_ms) {
    for (Slot& slot : slots()) {
      const char* known = nullptr;
      const bool is_first = slot.reason.compare_exchange_strong(known, reason);
      if (!is_first && std::strcmp(known, reason) != 0) continue;
      uint64_t told = slot.told.load();
      const bool due = told == 0 || now_ms >= told + kAgainMs;
      return due && slot.told.compare_exchange_strong(told, now_ms);
    }
    return false;
  }

 private:
  struct Slot {
    std::atomic<const char*> reason{nullptr};
    std::atomic<uint64_t> told{0};  // ms of the steady clock; 0: never
  };
  using Slots = std::array<Slot, kMost>;

  Slots& slots() {
    Slots* known = slots_.load();
    if (known != nullptr) return *known;
    Slots* made = new Slots;
    if (slots_.compare_exchange_strong(known, made)) return *made;
    delete made;
    return *known;
  }

  std::atomic<Slots*> slots_{nullptr};
};

}  // namespace lb::proxy
