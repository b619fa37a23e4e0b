// The tree of a JSON text, built while it is read, so that what nlohmann would let pass is refused
// before memory is spent: depth, members that appear twice, more values than there is memory for.
// Linear in the text, whatever is in it.
//
// Inside common/model only. Any thread. Throws Refused ("Syntax" with line and column or the
// member's pointer, "TooDeep", "TooLarge").
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "common/model/json_reader.hpp"

namespace lb::wire {

struct DomLimits {
  size_t depth;
  size_t values;  // objects and lists count too
};

nlohmann::json build_dom(std::string_view text, DomLimits limits);

}  // namespace lb::wire
