// Columns of text for a terminal. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lb::cli {

using Row = std::vector<std::string>;

// Terminals obey control characters, and names come from others.
std::string printable(std::string text);
// A member of an object, printable; empty when it is no text.
std::string text(const nlohmann::json& object, const char* name);
// The first row is the heading.
std::string render(const std::vector<Row>& rows);

}  // namespace lb::cli
