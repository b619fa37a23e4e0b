#include <iostream>

#include "dataplane/config.hpp"
#include "dataplane/program.hpp"

int main(int argc, char** argv) {
  auto parsed = lb::dataplane::parse_command_line(argc, argv);
  if (const auto* exit = std::get_if<lb::dataplane::Exit>(&parsed)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->text;
    return exit->code;
  }
  return lb::dataplane::Program(std::get<lb::dataplane::Config>(std::move(parsed))).run();
}
