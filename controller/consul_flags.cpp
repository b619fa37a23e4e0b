#include "controller/consul_flags.hpp"

namespace lb::controller {
namespace {

constexpr std::string_view kConsul = "consul";
constexpr std::string_view kHttps = "https:";
constexpr std::string_view kUsual = "127.0.0.1:8500";

Error wrong(const std::string& what) { return {"Flag", what}; }

Status judge_tls(const ConsulFlags& flags) {
  const auto& tls = flags.tls;
  if (!flags.https) {
    if (!tls.any()) return Done{};
    return wrong("--consul-ca is for --source consul:https:HOST:PORT");
  }
  if (tls.certificate.empty() != tls.key.empty()) {
    return wrong("--consul-cert and --consul-key belong together");
  }
  if (!tls.authority.empty()) return Done{};
  return wrong("--source consul:https: needs --consul-ca: who signs the agent's certificate");
}

}  // namespace

Status read_consul_source(const std::string& source, ConsulFlags& flags) {
  if (flags.server) return wrong("--source consul may be given once");
  std::string_view where = source;
  where.remove_prefix(kConsul.size());
  where = where.empty() ? kUsual : where.substr(1);
  flags.https = where.starts_with(kHttps);
  if (flags.https) where.remove_prefix(kHttps.size());
  const bool unix = !flags.https && where.starts_with("unix:");
  auto address = net::parse_socket_address((unix ? "" : "tcp:") + std::string(where));
  if (!address) return wrong("--source " + source + ": " + address.error().message);
  flags.server = std::move(address).value();
  return Done{};
}

Status judge_consul(const ConsulFlags& flags) {
  if (!flags.server) {
    if (!flags.tls.any() && flags.token_file.empty()) return Done{};
    return wrong("--consul-ca and --consul-token-file need --source consul");
  }
  if (const auto sound = judge_tls(flags); !sound) return sound;
  const auto* tcp = std::get_if<Endpoint>(&*flags.server);
  const bool open = tcp != nullptr && !flags.https && !tcp->address.is_loopback();
  if (flags.token_file.empty() || flags.token_in_clear || !open) return Done{};
  return wrong(
      "--consul-token-file with a Consul that is neither on loopback nor asked over https would "
      "show the token to the network; --consul-token-in-clear to do so all the same");
}

}  // namespace lb::controller
