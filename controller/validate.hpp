// `empalme-controller validate FILE…`: what is wrong with configuration files that are laid over
// one another, and where; with --show also what they make together, as a file that says the same by
// itself, values of the environment put in and defaults left out.
//
// Writes to the two streams and returns the exit code: 0 the file would be served as it stands,
// 1 it would be refused or some of it would not be programmed, 2 it could not be read.
#pragma once

#include <iosfwd>

#include "controller/config.hpp"

namespace lb::controller {

// A file "-" is standard input.
int validate_files(const Validate& wish, std::ostream& out, std::ostream& problems);

}  // namespace lb::controller
