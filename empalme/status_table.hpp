// The answer of GET /v1/status as a table that a person can read. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/model/result.hpp"

namespace lb::cli {

// One line for each listener: service, address, port, backends up of all, connections, state. What
// is not served says why, below the table where there is more to say.
Result<std::string> status_table(std::string_view json);

}  // namespace lb::cli
