// How a Consul agent is to be reached, as flags say it, and what is wrong with that.
//
// Plain values; errors are "Flag" with a sentence.
#pragma once

#include <optional>
#include <string>

#include "common/model/result.hpp"
#include "common/net/socket_address.hpp"
#include "common/net/tls.hpp"

namespace lb::controller {

struct ConsulFlags {
  std::optional<net::SocketAddress> server;  // nullopt: no source
  bool https = false;
  net::TlsFiles tls;        // certificate and key only where the agent wants to know who asks
  std::string server_name;  // that its certificate is for; empty: its address
  std::string token_file;   // empty: none
  bool token_in_clear = false;
  std::string datacenter;  // empty: the agent's own
};

// "consul", "consul:HOST:PORT", "consul:https:HOST:PORT" or "consul:unix:/PATH", HOST numeric, v6
// in brackets.
Status read_consul_source(const std::string& source, ConsulFlags& flags);

Status judge_consul(const ConsulFlags& flags);

}  // namespace lb::controller
