// The whole text of a file, or why not. Any thread; "-" is standard input.
#pragma once

#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "controller/sources/file_document.hpp"

namespace lb::sources {

// The error's message is the system's reason alone, without the path.
Result<std::string> read_file(const std::string& path);

// The error's message begins with the path.
Result<std::vector<FileLayer>> read_layers(const std::vector<std::string>& paths);

}  // namespace lb::sources
