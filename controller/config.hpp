// The command line of empalme-controller, each flag also an environment variable EMPALME_<NAME>.
//
// Read once at start by the main thread; what cannot be right is refused with a sentence.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/tls.hpp"
#include "controller/consul_flags.hpp"

namespace lb::controller {

struct Config {
  std::vector<std::string> files;  // laid over one another, the first lowest
  bool kubernetes = false;
  std::optional<net::SocketAddress> docker;  // nullopt: no source
  net::TlsFiles docker_tls;                  // for a daemon over TCP
  std::string docker_tls_server_name;        // empty: its address
  ConsulFlags consul;
  std::vector<AddressRange> pools;
  std::string load_balancer_class;
  bool claim_unclassed = false;
  std::set<std::string> privileged;  // namespaces
  bool strict_endpoints = false;     // only addresses of Pods are backends
  std::vector<net::SocketAddress> dataplanes;
  std::string dataplane_service;                      // NAMESPACE/NAME; empty: none are looked for
  net::TlsFiles tls;                                  // for a data plane over TCP
  std::string tls_server_name = net::kDataplaneName;  // empty: its address
  std::string tls_secret;  // NAMESPACE/NAME, instead of files; empty: none
  std::string kubeconfig;
  std::string lease_namespace;  // with the next one: what is led by; empty: no election
  std::string lease_name;
  std::optional<Endpoint> observe;
  net::SocketAddress admin;
  bool admin_given = false;  // false: it is the default, and does without where it cannot be
  std::string log_level = "info";
  bool check = false;  // say whether this could start, and end
};

struct Validate {
  std::vector<std::string> files;  // laid over one another, the first lowest
  bool show = false;               // print what they make together
};
struct Uninstall {
  std::string kubeconfig;
};
// What to print, and the code to exit with.
struct Exit {
  int code = 0;
  std::string text;
};

using Command = std::variant<Config, Validate, Uninstall, Exit>;

Command parse_command_line(int argc, const char* const* argv);

}  // namespace lb::controller
