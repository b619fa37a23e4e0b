#include "common/model/match.hpp"

#include <algorithm>

#include "common/model/json_writer.hpp"

namespace lb {
namespace {

constexpr size_t kMaxName = 253;
constexpr size_t kMaxLabel = 63;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool may_stand_in_name(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), may_stand_in_name);
}

// No top-level domain is a number, and an IPv4 address ends in one.
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (;;) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) return !std::all_of(label.begin(), label.end(), is_digit);
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

Result<std::string> parse_server_name(std::string_view text) {
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(), lower);
  std::string_view rest = name;
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  if (is_host_name(rest)) return name;
  return Error{"InvalidName",
               "'" + name + "' is not a host name such as shop.example.com, nor '*.' and one"};
}

Status check_size(const Match& match) {
  const size_t names = std::max<size_t>(match.names.size(), 1);
  if (match.sources.size() > kMaxMatchSources) {
    return Error{"TooLarge", "has more than " + std::to_string(kMaxMatchSources) + " sources"};
  }
  if (names * std::max<size_t>(match.sources.size(), 1) > kMaxMatchAtoms) {
    return Error{"TooLarge", "has more than " + std::to_string(kMaxMatchAtoms) +
                                 " names, or names times sources"};
  }
  return Done{};
}

std::vector<MatchAtom> atoms_of(const Match& match) {
  const std::vector<std::string> any{""};
  std::vector<std::string> ranges;
  for (const auto& range : match.sources) ranges.push_back(range.to_string());
  std::vector<MatchAtom> out;
  for (const auto& name : match.names.empty() ? any : match.names) {
    for (const auto& range : ranges.empty() ? any : ranges) out.emplace_back(name, range);
  }
  return out;
}

namespace wire {

void put_match(JsonWriter& out, const Match& match) {
  if (match.empty()) return;
  out.name("match");
  out.begin_object();
  if (!match.names.empty()) {
    out.name("names");
    out.begin_array();
    for (const auto& name : match.names) out.text(name);
    out.end_array();
  }
  if (!match.sources.empty()) {
    out.name("sources");
    out.begin_array();
    for (const auto& range : match.sources) out.text(range.to_string());
    out.end_array();
  }
  out.end_object();
}

}  // namespace wire

std::string describe(const MatchAtom& atom) {
  const std::string name = atom.first.empty() ? "all that no name takes" : atom.first;
  return atom.second.empty() ? name : name + " from " + atom.second;
}

}  // namespace lb
