// How a handoff's counters are named, for carried_counts.cpp and carried_facts.cpp only: words
// joined by '|', the key of a service last.
//
// Pure; any thread. What cannot be read is nothing.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/handoff/handoff_message.hpp"

namespace lb::dataplane {

// Zero need not be told. The first come first where there are too many.
inline void put(handoff::Counters& out, std::string name, uint64_t value) {
  if (value != 0 && out.size() < handoff::kMaxCounters) out[std::move(name)] = value;
}

inline std::string place(const char* kind, uint16_t port, Protocol protocol) {
  return std::string(kind) + "|" + std::to_string(port) + "|" + to_string(protocol) + "|";
}

// The first `count` words, and what comes after them; empty when there are fewer.
inline std::vector<std::string> split(const std::string& name, size_t count, std::string& rest) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = name.find('|', begin);
    if (end == std::string::npos) return {};
    out.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  rest = name.substr(begin);
  return out;
}

inline std::optional<uint16_t> number(const std::string& text) {
  uint16_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

inline Protocol protocol_of(const std::string& text) {
  return text == to_string(Protocol::kUdp) ? Protocol::kUdp : Protocol::kTcp;
}

}  // namespace lb::dataplane
