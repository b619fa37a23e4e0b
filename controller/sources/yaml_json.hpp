// Turns YAML (or JSON, which YAML includes) into one JSON value and remembers where each part
// stood, so that a refusal by JSON pointer can be shown as line and column.
//
// YAML 1.2 core schema for plain scalars (null, true, false, whole numbers); everything quoted is
// a string. Where an environment is given, its values are put into scalars first (not into keys),
// so that `port: ${PORT}` is a number. Refused: duplicate keys, keys that are no scalars, several
// documents, nesting deeper than kMaxDepth, and more than kMaxNodes values once aliases are
// followed (a small file may name a huge one). Pure; any thread; never throws.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/model/result.hpp"
#include "controller/sources/interpolate.hpp"

namespace lb::sources {

inline constexpr size_t kMaxNodes = 2'000'000;

// Lines and columns count from 1.
struct Position {
  size_t line = 1;
  size_t column = 1;
  size_t layer = 0;  // which of several files

  bool operator==(const Position&) const = default;
};

// Positions by JSON pointer; a pointer that is not known has the position of its nearest parent.
class PositionMap {
 public:
  void set(const std::string& pointer, Position position) { known_[pointer] = position; }
  Position find(std::string pointer) const;
  // What `other` knows of `there` and below it is known of `here` from now on.
  void adopt(const std::string& here, const PositionMap& other, const std::string& there);

 private:
  std::map<std::string, Position> known_;
};

// Fills `value` and `positions`. The error's message ends with "at line L, column C".
Status parse_yaml(std::string_view text, nlohmann::json& value, PositionMap& positions,
                  const Environment& environment = {}, size_t layer = 0);

std::string describe(Position position);

}  // namespace lb::sources
