#include "dataplane/balance/route_table.hpp"

#include <algorithm>

namespace lb::balance {
namespace {

constexpr std::string_view kWildcard = "*.";

int length_of(const std::optional<Cidr>& range) { return range ? range->prefix_length() : -1; }

}  // namespace

RouteTable::RouteTable(const std::vector<Match>& matches) {
  const std::vector<std::string> no_name{""};
  for (size_t route = 0; route < matches.size(); ++route) {
    const Match& match = matches[route];
    by_name_ = by_name_ || !match.names.empty();
    for (std::string_view name : match.names.empty() ? no_name : match.names) {
      const bool wildcard = name.starts_with(kWildcard);
      if (wildcard) name.remove_prefix(kWildcard.size());
      Sources& sources = (wildcard ? wildcards_ : exact_)[std::string(name)];
      for (const auto& range : match.sources) sources.push_back({range, route});
      if (match.sources.empty()) sources.push_back({std::nullopt, route});
    }
  }
  for (Names* names : {&exact_, &wildcards_}) {
    for (auto& [name, sources] : *names) {
      std::stable_sort(sources.begin(), sources.end(), [](const Source& a, const Source& b) {
        return length_of(a.range) > length_of(b.range);
      });
    }
  }
}

std::optional<size_t> RouteTable::find(std::string_view name,
                                       const std::optional<IpAddress>& client) const {
  if (!name.empty()) {
    if (const auto route = look_up(exact_, name, client)) return route;
    for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      name.remove_prefix(dot + 1);
      if (const auto route = look_up(wildcards_, name, client)) return route;
    }
  }
  return look_up(exact_, "", client);
}

std::optional<size_t> RouteTable::look_up(const Names& names, std::string_view name,
                                          const std::optional<IpAddress>& client) const {
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : from(found->second, client);
}

std::optional<size_t> RouteTable::from(const Sources& sources,
                                       const std::optional<IpAddress>& client) {
  for (const auto& source : sources) {
    if (!source.range || (client && source.range->contains(*client))) return source.route;
  }
  return std::nullopt;
}

}  // namespace lb::balance
