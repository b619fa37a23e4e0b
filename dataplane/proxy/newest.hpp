// The newest of many sessions of one engine: what is older than the first `most` is let go at once,
// so that ten out of a million cost the memory of ten.
//
// Sessions are told apart by `serial`, which grows. The engine's thread; throws std::bad_alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace lb::proxy {

template <class Session>
class Newest {
 public:
  explicit Newest(size_t most) : most_(most) {}

  // Whether offer() would keep it; asked first where more about it is dear to know.
  bool wants(const Session& session) const {
    return kept_.size() < most_ || (most_ > 0 && session.serial > kept_.front()->serial);
  }

  void offer(const Session& session) {
    if (!wants(session)) return;
    if (kept_.size() == most_) {
      std::pop_heap(kept_.begin(), kept_.end(), newer);
      kept_.pop_back();
    }
    kept_.push_back(&session);
    std::push_heap(kept_.begin(), kept_.end(), newer);
  }

  // In no order.
  const std::vector<const Session*>& all() const { return kept_; }

 private:
  // The heap's first is the oldest.
  static bool newer(const Session* a, const Session* b) { return a->serial > b->serial; }

  const size_t most_;
  std::vector<const Session*> kept_;
};

}  // namespace lb::proxy
