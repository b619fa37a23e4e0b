#include "empalme/programs.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string_view>

namespace lb::cli {

std::string find_program(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = own.parent_path() / name;
  return !error && fs::exists(beside, error) ? beside.string() : name;
}

namespace {

std::vector<char*> argv_of(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> out{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) out.push_back(const_cast<char*>(argument.c_str()));
  out.push_back(nullptr);
  return out;
}

// How a source is reached, which `up` has no flags for.
bool is_for_the_controller(std::string_view variable) {
  return variable.starts_with("EMPALME_DOCKER_") || variable.starts_with("EMPALME_CONSUL_");
}

}  // namespace

std::vector<char*> environment_for_children() {
  std::vector<char*> out;
  for (char** each = environ; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with("EMPALME_") || is_for_the_controller(*each)) {
      out.push_back(*each);
    }
  }
  out.push_back(nullptr);
  return out;
}

int run(const std::string& program, const std::vector<std::string>& arguments) {
  const auto argv = argv_of(program, arguments);
  const auto environment = environment_for_children();
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, argv.data(), environment.data());
  if (failed != 0) {
    std::cerr << program << ": " << std::strerror(failed) << "\n";
    return 127;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int become(const std::string& name, const std::vector<std::string>& arguments) {
  const std::string program = find_program(name);
  ::execvp(program.c_str(), argv_of(program, arguments).data());
  std::cerr << program << ": " << std::strerror(errno) << "\n";
  return 127;
}

}  // namespace lb::cli
