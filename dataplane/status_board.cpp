#include "dataplane/status_board.hpp"

#include <algorithm>
#include <charconv>
#include <new>

namespace lb::dataplane {
namespace {

// Services come and go for months; a reader that lags by more removals than this starts afresh.
constexpr size_t kMaxRemoved = 4096;

}  // namespace

bool StatusBoard::note_header(Version version, std::vector<Failure> failed, uint64_t next) {
  if (version == version_ && failed == failed_) return false;
  version_ = version;
  failed_ = std::move(failed);
  header_rev_ = next;
  return true;
}

bool StatusBoard::note(ServiceReport report, uint64_t next) {
  removed_.erase(report.key);
  const auto [held, added] = services_.try_emplace(report.key);
  Entry& entry = held->second;
  const bool news = added || !same_but_for_connections(entry.report, report);
  if (news) {
    by_rev_.erase({entry.rev, report.key});
    by_rev_.emplace(next, report.key);
    entry.rev = next;
  }
  entry.report = std::move(report);
  return news;
}

bool StatusBoard::forget(const std::string& key, uint64_t next) {
  const auto held = services_.find(key);
  if (held == services_.end()) return false;
  by_rev_.erase({held->second.rev, key});
  removed_[key] = next;
  services_.erase(held);
  return true;
}

void StatusBoard::update(Version version, std::vector<Failure> failed,
                         std::vector<ServiceReport> services) {
  std::set<std::string> present;
  for (const auto& report : services) present.insert(report.key);
  std::vector<std::string> gone;
  for (const auto& [key, entry] : services_) {
    if (!present.contains(key)) gone.push_back(key);
  }
  update_some(version, std::move(failed), std::move(services), gone);
}

void StatusBoard::update_some(Version version, std::vector<Failure> failed,
                              std::vector<ServiceReport> services,
                              const std::vector<std::string>& gone) {
  const uint64_t next = rev_ + 1;
  try {
    bool changed = note_header(version, std::move(failed), next);
    for (auto& report : services) changed = note(std::move(report), next) || changed;
    for (const auto& key : gone) changed = forget(key, next) || changed;
    if (changed) rev_ = next;
  } catch (const std::bad_alloc&) {
    rev_ = next;  // what was noted is news all the same
    throw;
  }
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

bool StatusBoard::has_news(const std::string& since) const {
  const auto from = known(since);
  return !from || rev_ > *from;
}

StatusView StatusBoard::view(const std::optional<std::string>& since) const {
  StatusView out{instance_ + "." + std::to_string(rev_), version_, failed_, {}, {}, true};
  const auto from = since ? known(*since) : std::nullopt;
  if (!from) {
    for (const auto& [key, entry] : services_) out.services.push_back(entry.report);
    return out;
  }
  std::set<std::string> changed;
  for (auto each = by_rev_.lower_bound({*from + 1, {}}); each != by_rev_.end(); ++each) {
    changed.insert(each->second);
  }
  for (const auto& key : changed) out.services.push_back(services_.at(key).report);
  for (const auto& [key, rev] : removed_) {
    if (rev > *from) out.removed.push_back(key);
  }
  out.news = rev_ > *from;
  return out;
}

}  // namespace lb::dataplane
