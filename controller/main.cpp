#include <malloc.h>

#include <iostream>

#include "controller/config.hpp"
#include "controller/kube/http_client_cpprest.hpp"
#include "controller/program.hpp"
#include "controller/uninstall.hpp"
#include "controller/validate.hpp"

int main(int argc, char** argv) {
  using namespace lb::controller;
  // Objects of the API are trees of small pieces. A heap that puts off joining freed pieces joins
  // all of them at each larger request, which is a tenth of what a change costs.
  mallopt(M_MXFAST, 0);
  lb::kube::initialize_http_threads();
  auto command = parse_command_line(argc, argv);
  if (const auto* exit = std::get_if<Exit>(&command)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->text;
    return exit->code;
  }
  if (const auto* validate = std::get_if<Validate>(&command)) {
    return validate_files(*validate, std::cout, std::cerr);
  }
  if (const auto* free = std::get_if<Uninstall>(&command)) {
    return uninstall(free->kubeconfig, std::cout, std::cerr);
  }
  return Program(std::get<Config>(std::move(command))).run();
}
