#include "empalme/up.hpp"

#include <unistd.h>

#include <cstdlib>

#include "common/net/socket_address.hpp"
#include "common/ops/log.hpp"
#include "empalme/programs.hpp"

namespace lb::cli {
namespace {

void add(std::vector<std::string>& arguments, const std::string& flag, const std::string& value) {
  if (!value.empty()) arguments.push_back(flag + "=" + value);
}

void add_observe(std::vector<std::string>& arguments, const std::string& value) {
  if (value != "none") add(arguments, "--observe", value);
}

// Beside the sockets where those were put somewhere: two instances then share nothing.
std::string state_folder(const UpOptions& options) {
  if (!options.state_dir.empty()) return options.state_dir;
  if (options.socket_dir != net::default_socket_folder()) return options.socket_dir + "/state";
  return default_state_folder();
}

ChildSpec dataplane(const UpOptions& options, const std::string& socket) {
  ChildSpec out{"dataplane", find_program("empalme-dataplane"), {}};
  add(out.arguments, "--admin", socket);
  add(out.arguments, "--announce", options.announce);
  if (!options.zone.empty()) add(out.arguments, "--zone", options.zone);
  add(out.arguments, "--state-dir", state_folder(options));
  if (options.workers != 0) add(out.arguments, "--workers", std::to_string(options.workers));
  add(out.arguments, "--drain", std::to_string(options.drain_s));
  add_observe(out.arguments, options.observe);
  add(out.arguments, "--log-level", options.log_level);
  return out;
}

ChildSpec controller(const UpOptions& options, const std::string& socket) {
  ChildSpec out{"controller", find_program("empalme-controller"), {}};
  for (const auto& source : options.sources) add(out.arguments, "--source", source);
  for (const auto& pool : options.pools) add(out.arguments, "--pool", pool);
  add(out.arguments, "--class", options.load_balancer_class);
  if (options.claim_unclassed) out.arguments.push_back("--claim-unclassed");
  add(out.arguments, "--kubeconfig", options.kubeconfig);
  add(out.arguments, "--dataplane", socket);
  add(out.arguments, "--admin", "unix:" + options.socket_dir + "/controller.sock");
  add_observe(out.arguments, options.observe_controller);
  add(out.arguments, "--log-level", options.log_level);
  return out;
}

}  // namespace

// Lasting, unlike the folder of the sockets: /var/lib/empalme for root, else as XDG says it.
std::string default_state_folder() {
  if (::getuid() == 0) return "/var/lib/empalme";
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/empalme";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') return net::default_socket_folder() + "/state";
  return std::string(home) + "/.local/state/empalme";
}

std::vector<ChildSpec> children_of(const UpOptions& options) {
  const std::string socket = "unix:" + options.socket_dir + "/dataplane.sock";
  return {dataplane(options, socket), controller(options, socket)};
}

// The controller judges its flags and files before anything listens.
int check(const ChildSpec& controller) {
  std::vector<std::string> arguments = controller.arguments;
  arguments.push_back("--check");
  return run(controller.program, arguments);
}

int up(const UpOptions& options) {
  ops::set_log_level(ops::parse_level(options.log_level));
  if (const int wrong = check(children_of(options).back()); wrong != 0) return wrong;
  asio::io_context io{1};
  Supervisor supervisor(io, children_of(options), {});
  supervisor.start();
  io.run();
  return supervisor.exit_code();
}

}  // namespace lb::cli
