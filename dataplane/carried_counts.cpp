#include "dataplane/carried_counts.hpp"

#include <charconv>
#include <string_view>

#include "dataplane/carried_names.hpp"
#include "dataplane/carried_rows.hpp"

namespace lb::dataplane {
namespace {

constexpr char kConnect[] = "connect_", kLife[] = "life_", kSum[] = "sum";
constexpr char kEnded[] = "ended_", kRefused[] = "refused_";

template <class Totals, size_t kRows>
bool set(Totals& to, const Row<Totals> (&rows)[kRows], std::string_view name, uint64_t value) {
  for (const auto& row : rows) {
    if (name != row.name) continue;
    to.*row.value = value;
    return true;
  }
  return false;
}

template <class Totals, size_t kRows>
void add(Totals& to, const Row<Totals> (&rows)[kRows], const Totals& from) {
  for (const auto& row : rows) to.*row.value += from.*row.value;
}

template <size_t kBounds>
void put_histogram(handoff::Counters& out, const std::string& prefix, const std::string& key,
                   const proxy::HistogramTotals<kBounds>& from) {
  for (size_t i = 0; i <= kBounds; ++i) {
    put(out, prefix + std::to_string(i) + "|" + key, from.counts[i]);
  }
  put(out, prefix + kSum + "|" + key, from.sum_ms);
}

// `name` without its prefix: the number of a bucket, or the sum.
template <size_t kBounds>
void set_histogram(proxy::HistogramTotals<kBounds>& to, std::string_view name, uint64_t value) {
  if (name == kSum) {
    to.sum_ms = value;
    return;
  }
  size_t bucket = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), bucket);
  if (error == std::errc{} && end == name.data() + name.size() && bucket <= kBounds) {
    to.counts[bucket] = value;
  }
}

template <size_t kBounds>
void add_histogram(proxy::HistogramTotals<kBounds>& to,
                   const proxy::HistogramTotals<kBounds>& from) {
  for (size_t i = 0; i <= kBounds; ++i) to.counts[i] += from.counts[i];
  to.sum_ms += from.sum_ms;
}

// Counts of each value of an enum, by its name.
template <class Value, size_t kCount>
void put_each(handoff::Counters& out, const std::string& prefix, const std::string& key,
              const std::array<uint64_t, kCount>& from) {
  for (size_t i = 0; i < kCount; ++i) {
    put(out, prefix + to_string(static_cast<Value>(i)) + "|" + key, from[i]);
  }
}

template <class Value, size_t kCount>
void set_each(std::array<uint64_t, kCount>& to, std::string_view name, uint64_t value) {
  for (size_t i = 0; i < kCount; ++i) {
    if (name == to_string(static_cast<Value>(i))) to[i] = value;
  }
}

template <size_t kCount>
void add_each(std::array<uint64_t, kCount>& to, const std::array<uint64_t, kCount>& from) {
  for (size_t i = 0; i < kCount; ++i) to[i] += from[i];
}

void encode_groups(const proxy::PortTotals& port, handoff::Counters& out) {
  const std::string prefix = place("group", port.port, port.protocol);
  for (const auto& group : port.groups) {
    const std::string who = std::to_string(group.name.size()) + "|" + group.name + "|" + port.key;
    for (const auto& row : kGroupRows) put(out, prefix + row.name + "|" + who, group.*row.value);
  }
}

}  // namespace

void encode_totals(const proxy::DataPathCounters& path, const std::vector<proxy::PortTotals>& ports,
                   handoff::Counters& out) {
  for (const auto& row : kPathRows) put(out, std::string("path|") + row.name, path.*row.value);
  for (const auto& port : ports) {
    const std::string prefix = place("port", port.port, port.protocol);
    for (const auto& row : kPortRows) put(out, prefix + row.name + "|" + port.key, port.*row.value);
    put_histogram(out, prefix + kConnect, port.key, port.connect);
    put_histogram(out, prefix + kLife, port.key, port.life);
    put_each<proxy::EndReason>(out, prefix + kEnded, port.key, port.ended);
    put_each<proxy::Refusal>(out, prefix + kRefused, port.key, port.refused);
  }
  for (const auto& port : ports) {
    for (const auto& backend : port.backends) {
      const std::string prefix =
          place("backend", port.port, port.protocol) + backend.backend.to_string() + "|";
      for (const auto& row : kBackendRows) {
        put(out, prefix + row.name + "|" + port.key, backend.*row.value);
      }
    }
  }
  for (const auto& port : ports) encode_groups(port, out);
}

void encode_checks(const health::ProberCounters& checks, handoff::Counters& out) {
  for (const auto& row : kCheckRows) put(out, std::string("check|") + row.name, checks.*row.value);
}

void CarriedCounts::take(const handoff::Counters& from) {
  *this = {};
  for (const auto& [name, value] : from) {
    const std::string kind = name.substr(0, name.find('|'));
    const size_t count = kind == "port" ? 4 : kind == "backend" || kind == "group" ? 5 : 1;
    std::string rest;
    const auto words = split(name, count, rest);
    if (!words.empty()) take_one(words, rest, value);
  }
}

void CarriedCounts::take_one(const std::vector<std::string>& words, const std::string& key,
                             uint64_t value) {
  if (words.size() == 1) {
    if (words[0] == "path") set(path_, kPathRows, key, value);
    if (words[0] == "check") set(checks_, kCheckRows, key, value);
    if (words[0] == "left") (key == "udp" ? left_udp_ : left_tcp_) = value;
    if (words[0] == "handoffs") taken_ = value;
    return;
  }
  if (words[0] == "group") return take_group(words, key, value);
  const auto port = number(words[1]);
  if (!port) return;
  Port& mine = ports_[{key, *port, protocol_of(words[2])}];
  if (words[0] == "backend") {
    const auto backend = parse_endpoint(words[3]);
    if (backend) set(mine.backends[*backend], kBackendRows, words[4], value);
    return;
  }
  const std::string_view name = words[3];
  if (set(mine.totals, kPortRows, name, value)) return;
  if (name.starts_with(kConnect)) {
    set_histogram(mine.totals.connect, name.substr(sizeof kConnect - 1), value);
  } else if (name.starts_with(kLife)) {
    set_histogram(mine.totals.life, name.substr(sizeof kLife - 1), value);
  } else if (name.starts_with(kEnded)) {
    set_each<proxy::EndReason>(mine.totals.ended, name.substr(sizeof kEnded - 1), value);
  } else if (name.starts_with(kRefused)) {
    set_each<proxy::Refusal>(mine.totals.refused, name.substr(sizeof kRefused - 1), value);
  }
}

void CarriedCounts::take_group(const std::vector<std::string>& words,
                               const std::string& name_and_key, uint64_t value) {
  const auto port = number(words[1]), length = number(words[4]);
  if (!port || !length || *length >= name_and_key.size() || name_and_key[*length] != '|') return;
  Port& mine = ports_[{name_and_key.substr(*length + 1), *port, protocol_of(words[2])}];
  set(mine.groups[name_and_key.substr(0, *length)], kGroupRows, words[3], value);
}

void CarriedCounts::keep_only(const DesiredState& state) {
  if (ports_.empty()) return;
  std::map<PortKey, Port> kept;
  for (const auto& service : state.services) {
    for (const auto& port : service.ports) {
      auto node = ports_.extract({service.key, port.port, port.protocol});
      if (node.empty()) continue;
      std::set<Endpoint> present;
      for (const auto& backend : port.backends) present.insert(backend.endpoint());
      std::erase_if(node.mapped().backends,
                    [&](const auto& each) { return !present.contains(each.first); });
      std::set<std::string> groups;
      for (const auto& group : port.groups) groups.insert(group.name);
      std::erase_if(node.mapped().groups,
                    [&](const auto& each) { return !groups.contains(each.first); });
      kept.insert(std::move(node));
    }
  }
  ports_ = std::move(kept);
}

proxy::DataPathCounters CarriedCounts::with(proxy::DataPathCounters path) const {
  add(path, kPathRows, path_);
  return path;
}

health::ProberCounters CarriedCounts::with(health::ProberCounters checks) const {
  add(checks, kCheckRows, checks_);
  return checks;
}

std::vector<proxy::PortTotals> CarriedCounts::with(std::vector<proxy::PortTotals> ports) const {
  for (auto& port : ports) {
    const auto found = ports_.find({port.key, port.port, port.protocol});
    if (found == ports_.end()) continue;
    const Port& before = found->second;
    add(port, kPortRows, before.totals);
    add_histogram(port.connect, before.totals.connect);
    add_histogram(port.life, before.totals.life);
    add_each(port.ended, before.totals.ended);
    add_each(port.refused, before.totals.refused);
    for (auto& backend : port.backends) {
      const auto same = before.backends.find(backend.backend);
      if (same != before.backends.end()) add(backend, kBackendRows, same->second);
    }
    for (auto& group : port.groups) {
      const auto same = before.groups.find(group.name);
      if (same != before.groups.end()) add(group, kGroupRows, same->second);
    }
  }
  return ports;
}

void CarriedCounts::encode_own(handoff::Counters& out, const proxy::DataPathCounters& path) const {
  put(out, "handoffs|taken", taken_ + 1);
  put(out, "left|tcp", left_tcp_ + path.active);
  put(out, "left|udp", left_udp_ + path.udp_active);
}

}  // namespace lb::dataplane
