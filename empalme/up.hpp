// `empalme up`: a controller and a data plane as two children of one process.
#pragma once

#include <string>
#include <vector>

#include "empalme/supervisor.hpp"

namespace lb::cli {

struct UpOptions {
  std::string socket_dir;
  std::vector<std::string> sources;
  std::vector<std::string> pools;
  std::string load_balancer_class;
  bool claim_unclassed = false;
  std::string kubeconfig;
  std::string announce = "none";
  std::string zone;
  std::string state_dir;
  unsigned workers = 0;  // 0: one for each core
  unsigned drain_s = 0;
  std::string observe = "127.0.0.1:9902";             // of the data plane; "none" for off
  std::string observe_controller = "127.0.0.1:9901";  // of the controller
  std::string log_level = "info";
};

// The two command lines: data plane first, since the controller looks for its socket. Pure but for
// looking where the programs are.
std::vector<ChildSpec> children_of(const UpOptions& options);

// Where the state is kept when nothing else is said.
std::string default_state_folder();

// Runs until a signal; the exit code.
int up(const UpOptions& options);

}  // namespace lb::cli
