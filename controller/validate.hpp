// `empalme-controller validate FILE`: what is wrong with a configuration file, and where.
//
// Writes to the two streams and returns the exit code: 0 the file would be served as it stands,
// 1 it would be refused or some of it would not be programmed, 2 it could not be read.
#pragma once

#include <iosfwd>
#include <string>

namespace lb::controller {

// `path` "-" reads standard input.
int validate_file(const std::string& path, std::ostream& out, std::ostream& problems);

}  // namespace lb::controller
