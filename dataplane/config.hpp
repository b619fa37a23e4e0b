// The command line of empalme-dataplane, each flag also an environment variable EMPALME_<NAME>.
//
// Read once at start by the main thread. What is not built yet, or would be unsafe, is refused with
// a sentence that says so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/tls.hpp"
#include "dataplane/announce/vrrp_plan.hpp"

namespace lb::dataplane {

// How addresses reach the network.
enum class Announce : uint8_t { kNone, kAuto, kInterface, kVrrp };

struct Config {
  net::SocketAddress admin;
  net::TlsFiles tls;                                   // of a TCP admin address
  std::string tls_client_name = net::kControllerName;  // empty: any that the authority signed
  std::string state_dir;                               // empty: nothing is saved
  std::string keys_dir;       // empty: beside the admin socket, or in the state folder
  bool persist_keys = false;  // on a disk too
  std::string state_file;     // empty: the saved state is loaded
  unsigned workers = 1;
  Announce announce = Announce::kNone;
  std::string interface;            // for kInterface
  announce::VrrpFlags vrrp;         // for kVrrp
  std::string zone;                 // where we are; backends there are near
  unsigned drain_s = 0;             // how long connections may go on after SIGTERM
  std::string handoff;              // unix socket; empty: none
  unsigned handoff_drain_s = 3600;  // how long connections may go on after a handoff
  std::optional<Endpoint> observe;
  std::string log_level = "info";
  std::vector<IpAddress> spare_sources;  // see proxy/dial_ports.hpp
  uint32_t log_connections = 0;          // every how many-th; 0: none
};

// Either what to run with, or what to print and the code to exit with.
struct Exit {
  int code = 0;
  std::string text;
};
std::variant<Config, Exit> parse_command_line(int argc, const char* const* argv);

// "unix:/path" or "tcp:HOST:PORT"; TCP only with all of `tls`, or on loopback when
// `insecure_loopback`.
Result<net::SocketAddress> parse_admin(const std::string& text, const net::TlsFiles& tls,
                                       bool insecure_loopback);

// The default of --admin: /run/empalme for root, else the user's runtime folder, else /tmp.
std::string default_admin();

}  // namespace lb::dataplane
