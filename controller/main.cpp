#include <iostream>

#include "controller/config.hpp"
#include "controller/kube/http_client_cpprest.hpp"
#include "controller/program.hpp"
#include "controller/uninstall.hpp"
#include "controller/validate.hpp"

int main(int argc, char** argv) {
  using namespace lb::controller;
  lb::kube::initialize_http_threads();
  auto command = parse_command_line(argc, argv);
  if (const auto* exit = std::get_if<Exit>(&command)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->text;
    return exit->code;
  }
  if (const auto* validate = std::get_if<Validate>(&command)) {
    return validate_file(validate->file, std::cout, std::cerr);
  }
  if (const auto* free = std::get_if<Uninstall>(&command)) {
    return uninstall(free->kubeconfig, std::cout, std::cerr);
  }
  return Program(std::get<Config>(std::move(command))).run();
}
