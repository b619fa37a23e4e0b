#include <exception>
#include <iostream>
#include <optional>

#include "common/ops/log.hpp"
#include "dataplane/config.hpp"
#include "dataplane/program.hpp"

int main(int argc, char** argv) {
  auto parsed = lb::dataplane::parse_command_line(argc, argv);
  if (const auto* exit = std::get_if<lb::dataplane::Exit>(&parsed)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->text;
    return exit->code;
  }
  std::optional<lb::dataplane::Program> program;
  try {
    program.emplace(std::get<lb::dataplane::Config>(std::move(parsed)));
  } catch (const std::exception& error) {
    lb::ops::log_error({"Start", std::string("cannot start: ") + error.what()});
    return 1;
  }
  return program->run();
}
