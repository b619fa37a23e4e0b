// The whole text of a file, or why not. Any thread; "-" is standard input.
#pragma once

#include <string>

#include "common/model/result.hpp"

namespace lb::sources {

// The error's message is the system's reason alone, without the path.
Result<std::string> read_file(const std::string& path);

}  // namespace lb::sources
