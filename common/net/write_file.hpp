// Replaces a file so that a reader, or a crash at any moment, finds the old one or the new one
// whole.
//
// Write to PATH.tmp (0600), fsync(2), rename(2), fsync of the folder. Any thread. Error "File".
#pragma once

#include <string>
#include <string_view>

#include "common/model/result.hpp"

namespace lb::net {

Status write_file(const std::string& path, std::string_view text);

}  // namespace lb::net
