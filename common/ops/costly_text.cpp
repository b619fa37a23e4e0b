#include "common/ops/costly_text.hpp"

#include <algorithm>
#include <utility>

namespace lb::ops {

CostlyText::CostlyText(std::function<std::string()> make, std::function<Clock::time_point()> now)
    : make_(std::move(make)), now_(std::move(now)), seen_(now_()) {}

CostlyText::Text CostlyText::get() {
  const auto now = now_();
  credit_ = std::min<Clock::duration>(kMostCredit, credit_ + (now - seen_) / kShare);
  seen_ = now;
  if (!text_ || credit_ > Clock::duration::zero()) make();
  return text_;
}

void CostlyText::make() {
  struct Payment {
    CostlyText& owner;
    ~Payment() {
      const auto now = owner.now_();
      owner.credit_ -= now - owner.seen_;
      owner.seen_ = now;
    }
  };
  const Payment payment{*this};
  text_ = std::make_shared<const std::string>(make_());
}

}  // namespace lb::ops
