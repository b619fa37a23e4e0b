// The answer of GET /v1/explain as text that a person reads from top to bottom. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/model/result.hpp"

namespace lb::cli {

// What stands in the way first, then addresses, backends, data planes, conditions. Of a controller
// that stands by first that it does, and for whom.
Result<std::string> explanation(std::string_view json);

}  // namespace lb::cli
