// The whole text of a file, or why not. Any thread; "-" is standard input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "controller/sources/file_document.hpp"

namespace lb::sources {

// The error's message is the system's reason alone, without the path.
Result<std::string> read_file(const std::string& path);

// Another one after each change of what stands in a file, unless changes come within the same tick
// of the file system's clock: one whose `changed_s` is past by then can be relied on.
struct FileStamp {
  uint64_t device = 0, number = 0, size = 0;
  int64_t changed_s = 0, changed_ns = 0;  // since 1970

  bool operator==(const FileStamp&) const = default;
};
// nullopt: there is none. Links are followed.
std::optional<FileStamp> stamp_of(const std::string& path);

// The error's message begins with the path.
Result<std::vector<FileLayer>> read_layers(const std::vector<std::string>& paths);

}  // namespace lb::sources
