#include "empalme/up.hpp"

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

ChildSpec dataplane(const UpOptions& options, const std::string& socket) {
  ChildSpec out{"dataplane", find_program("empalme-dataplane"), {}};
  add(out.arguments, "--admin", socket);
  add(out.arguments, "--announce", options.announce);
  add(out.arguments, "--state-dir",
      options.state_dir.empty() ? options.socket_dir + "/state" : options.state_dir);
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
  add_observe(out.arguments, options.observe_controller);
  add(out.arguments, "--log-level", options.log_level);
  return out;
}

}  // namespace

std::vector<ChildSpec> children_of(const UpOptions& options) {
  const std::string socket = "unix:" + options.socket_dir + "/dataplane.sock";
  return {dataplane(options, socket), controller(options, socket)};
}

int up(const UpOptions& options) {
  ops::set_log_level(ops::parse_level(options.log_level));
  asio::io_context io{1};
  Supervisor supervisor(io, children_of(options), {});
  supervisor.start();
  io.run();
  return supervisor.exit_code();
}

}  // namespace lb::cli
