#include "dataplane/status_board.hpp"

#include <algorithm>
#include <charconv>

namespace lb::dataplane {
namespace {

// Services come and go for months; a reader that lags by more removals than this starts afresh.
constexpr size_t kMaxRemoved = 4096;

}  // namespace

void StatusBoard::update(Version version, std::vector<Failure> failed,
                         std::vector<ServiceReport> services) {
  const uint64_t next = rev_ + 1;
  bool changed = false;
  if (version != version_ || failed != failed_) {
    version_ = version;
    failed_ = std::move(failed);
    header_rev_ = next;
    changed = true;
  }
  std::map<std::string, Entry> present;
  for (auto& report : services) {
    Entry entry{std::move(report), next};
    const auto held = services_.find(entry.report.key);
    if (held != services_.end() && same_but_for_connections(held->second.report, entry.report)) {
      entry.rev = held->second.rev;
    } else {
      changed = true;
    }
    removed_.erase(entry.report.key);
    std::string key = entry.report.key;
    present.insert_or_assign(std::move(key), std::move(entry));
  }
  for (const auto& [key, entry] : services_) {
    if (present.contains(key)) continue;
    removed_[key] = next;
    changed = true;
  }
  services_ = std::move(present);
  if (changed) rev_ = next;
  forget_oldest();
}

void StatusBoard::forget_oldest() {
  while (removed_.size() > kMaxRemoved) {
    const auto oldest = std::min_element(removed_.begin(), removed_.end(),
                                         [](auto& a, auto& b) { return a.second < b.second; });
    oldest_ = std::max(oldest_, oldest->second);
    removed_.erase(oldest);
  }
}

std::optional<uint64_t> StatusBoard::known(const std::string& since) const {
  if (!since.starts_with(instance_ + ".")) return std::nullopt;
  uint64_t rev = 0;
  const char* first = since.data() + instance_.size() + 1;
  const char* last = since.data() + since.size();
  const auto [end, error] = std::from_chars(first, last, rev);
  if (error != std::errc{} || end != last || rev > rev_ || rev < oldest_) return std::nullopt;
  return rev;
}

StatusView StatusBoard::view(const std::optional<std::string>& since) const {
  StatusView out{instance_ + "." + std::to_string(rev_), version_, failed_, {}, {}, true};
  const auto from = since ? known(*since) : std::nullopt;
  for (const auto& [key, entry] : services_) {
    if (!from || entry.rev > *from) out.services.push_back(entry.report);
  }
  if (!from) return out;
  for (const auto& [key, rev] : removed_) {
    if (rev > *from) out.removed.push_back(key);
  }
  out.news = rev_ > *from;
  return out;
}

}  // namespace lb::dataplane
