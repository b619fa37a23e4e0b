// Words and lists as people write them in fields and annotations. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lb::plan {

// Without blanks at either end.
std::string trimmed(std::string_view text);

// At commas; every item trimmed, empty ones left out.
std::vector<std::string> split_list(std::string_view text);

}  // namespace lb::plan
