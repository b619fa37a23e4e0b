#include "dataplane/proxy/descriptor_line.hpp"

#include <algorithm>

#include "common/net/descriptors.hpp"

namespace lb::proxy {
namespace {

constexpr uint64_t kKeptBack = 64, kKeptPerWorker = 4;
constexpr uint64_t kMostNumbers = 1 << 30;  // fs.nr_open is below
constexpr int64_t kPartOfRoom = 16;
constexpr int64_t kMostAllowed = 1024;

}  // namespace

DescriptorShares share_descriptors(uint64_t limit, unsigned workers) {
  const uint64_t all = std::min(limit, kMostNumbers);
  const uint64_t kept = std::min(kKeptBack + kKeptPerWorker * workers, all / 4);
  return {static_cast<int>(all), static_cast<int>(all - kept), static_cast<int>(all - kept / 2)};
}

int64_t DescriptorLine::open_now(uint64_t now) {
  if (const auto told = net::told_descriptors()) return static_cast<int64_t>(*told);
  if (now < walk_at_) return reckoned_;
  walk_at_ = now + kLookMs;
  ++walks_;
  return reckoned_ = static_cast<int64_t>(net::open_descriptors());
}

bool DescriptorLine::look(uint64_t now) {
  if (now < look_at_) return true;
  ++looks_;
  const int64_t room = line_ - open_now(now);
  const bool none = room < kOfAConnection;
  look_at_ = none ? now + kLookMs : 0;
  if (none) return true;
  allowed_ = static_cast<int>(std::clamp(room / kPartOfRoom, int64_t{1}, kMostAllowed)) - 1;
  allowed_until_ = now + kAllowedMs;
  return false;
}

}  // namespace lb::proxy
