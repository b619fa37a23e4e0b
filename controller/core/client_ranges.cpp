#include "controller/core/client_ranges.hpp"

#include <algorithm>

namespace lb::plan {
namespace {

bool adjoins(const AddressRange& before, const IpAddress& next) {
  if (before.first.family() != next.family()) return false;
  const auto after = before.last.next();
  return next <= before.last || (after && *after == next);
}

// As few intervals as can be, in order.
std::vector<AddressRange> joined(std::vector<Cidr> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<AddressRange> out;
  for (const Cidr& each : ranges) {
    if (!out.empty() && adjoins(out.back(), each.first())) {
      out.back().last = std::max(out.back().last, each.last());
    } else {
      out.push_back({each.first(), each.last()});
    }
  }
  return out;
}

}  // namespace

bool says_everyone(const std::vector<Cidr>& ranges) {
  static const Cidr kEveryV4 = Cidr::parse("0.0.0.0/0").value();
  const bool v6 = std::any_of(ranges.begin(), ranges.end(),
                              [](const Cidr& range) { return !range.network().is_v4(); });
  return !v6 && std::find(ranges.begin(), ranges.end(), kEveryV4) != ranges.end();
}

bool within(const std::vector<Cidr>& inner, const std::vector<Cidr>& outer) {
  const auto wide = joined(outer);
  return std::all_of(inner.begin(), inner.end(), [&](const Cidr& each) {
    return std::any_of(wide.begin(), wide.end(), [&](const AddressRange& range) {
      return range.contains(each.first()) && range.contains(each.last());
    });
  });
}

}  // namespace lb::plan
