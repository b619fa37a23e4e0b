#include "controller/sources/consul_watches.hpp"

#include <algorithm>
#include <charconv>

namespace lb::sources {

Result<uint64_t> next_index(uint64_t asked, const std::optional<std::string>& header) {
  if (!header) return Error{"Protocol", "an answer without X-Consul-Index"};
  uint64_t out = 0;
  const char* end = header->data() + header->size();
  const auto [stop, error] = std::from_chars(header->data(), end, out);
  if (error != std::errc() || stop != end) {
    return Error{"Protocol", "an X-Consul-Index that is no number"};
  }
  if (out < asked) return uint64_t{0};
  return std::max<uint64_t>(out, 1);
}

void ConsulWatches::follow(const std::set<std::string>& names) {
  for (const auto& name : names) {
    const auto [it, fresh] = watches_.try_emplace(name);
    it->second.followed = true;
    if (!fresh) continue;
    ++unanswered_;
    queue_.emplace(it->second.due, name);
  }
  for (auto it = watches_.begin(); it != watches_.end();) {
    if (names.contains(it->first) || it->second.busy) {
      it->second.followed = names.contains(it->first);
      ++it;
      continue;
    }
    queue_.erase({it->second.due, it->first});
    if (!it->second.answered) --unanswered_;
    it = watches_.erase(it);
  }
}

size_t ConsulWatches::size() const {
  return static_cast<size_t>(
      std::ranges::count_if(watches_, [](const auto& each) { return each.second.followed; }));
}

void ConsulWatches::clear() {
  watches_.clear();
  queue_.clear();
  unanswered_ = under_way_ = 0;
}

std::optional<ConsulWatches::Question> ConsulWatches::next(Clock::time_point now) {
  if (queue_.empty() || under_way_ >= options_.most || queue_.begin()->first > now) {
    return std::nullopt;
  }
  const std::string name = queue_.begin()->second;
  queue_.erase(queue_.begin());
  Watch& watch = watches_.at(name);
  watch.busy = true;
  watch.asked = now;
  ++under_way_;
  return Question{name, watch.index, wait()};
}

ConsulWatches::Milliseconds ConsulWatches::wait() const {
  if (watches_.size() <= options_.most) return options_.wait;
  constexpr Milliseconds kLeast{100};
  return std::clamp(
      options_.round * static_cast<int64_t>(options_.most) / static_cast<int64_t>(watches_.size()),
      kLeast, std::max(options_.wait, kLeast));
}

std::optional<ConsulWatches::Clock::time_point> ConsulWatches::due() const {
  if (queue_.empty() || under_way_ >= options_.most) return std::nullopt;
  return queue_.begin()->first;
}

bool ConsulWatches::answered(const std::string& name, uint64_t next_index, Clock::time_point now) {
  const auto found = watches_.find(name);
  if (found == watches_.end()) return false;
  Watch& watch = found->second;
  --under_way_;
  if (!std::exchange(watch.answered, true)) --unanswered_;
  if (!watch.followed) {
    watches_.erase(found);
    return false;
  }
  watch.busy = false;
  watch.index = next_index;
  watch.due = std::max(now, watch.asked + options_.pause);
  queue_.emplace(watch.due, name);
  return true;
}

}  // namespace lb::sources
