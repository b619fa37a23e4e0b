#include "empalme/programs.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

namespace lb::cli {

std::string find_program(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = own.parent_path() / name;
  return !error && fs::exists(beside, error) ? beside.string() : name;
}

int become(const std::string& name, const std::vector<std::string>& arguments) {
  const std::string program = find_program(name);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv.front(), argv.data());
  std::cerr << program << ": " << std::strerror(errno) << "\n";
  return 127;
}

}  // namespace lb::cli
