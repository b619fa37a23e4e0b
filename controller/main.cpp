#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "controller/validate.hpp"

namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  empalme-controller validate lb.yaml     say what is wrong with a file, and where\n"
    "  empalme-controller validate - < lb.yaml the same for standard input\n";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Empalme's controller: turns sources of services into backend sets.",
               "empalme-controller"};
  app.set_version_flag("--version", std::string("empalme-controller ") + EMPALME_VERSION);
  app.footer(kExamples);
  app.require_subcommand(1);

  std::string file;
  auto* validate = app.add_subcommand("validate", "check a configuration file");
  validate->add_option("FILE", file, "YAML or JSON, '-' for standard input")->required();

  CLI11_PARSE(app, argc, argv);
  return lb::controller::validate_file(file, std::cout, std::cerr);
}
