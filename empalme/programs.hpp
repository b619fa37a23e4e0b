// The programs beside this one: where they are, and becoming one of them.
#pragma once

#include <string>
#include <vector>

namespace lb::cli {

// The full path of a program in the folder of this one, else its bare name, for PATH.
std::string find_program(const std::string& name);

// Replaces this process; returns the exit code to use when that fails, after saying why.
int become(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace lb::cli
