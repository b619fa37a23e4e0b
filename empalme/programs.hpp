// The programs beside this one: where they are, and becoming one of them.
#pragma once

#include <string>
#include <vector>

namespace lb::cli {

// The full path of a program in the folder of this one, else its bare name, for PATH.
std::string find_program(const std::string& name);

// For exec: this process's variables but EMPALME_*, which say what this program shall do; the flags
// say it to the others. Those of Docker's and Consul's sources, which only the controller has flags
// for, are among them. Points into the environment; null-terminated.
std::vector<char*> environment_for_children();

// Runs it to its end; the exit code, 127 when it cannot be run.
int run(const std::string& program, const std::vector<std::string>& arguments);

// Replaces this process; returns the exit code to use when that fails, after saying why.
int become(const std::string& name, const std::vector<std::string>& arguments);

}  // namespace lb::cli
