#include "dataplane/config.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <thread>

namespace lb::dataplane {
namespace {

constexpr size_t kMaxSocketPath = 107;

constexpr char kExamples[] =
    "Examples:\n"
    "  empalme-dataplane --state lb.json\n"
    "  empalme-dataplane --admin unix:/run/empalme/dataplane.sock --state-dir /var/lib/empalme\n"
    "  empalme-dataplane --observe 127.0.0.1:9902 --workers 2\n"
    "  empalme-dataplane --announce vrrp:eth0 --vrrp-peers 192.0.2.1,192.0.2.2\n"
    "  empalme-dataplane --handoff /run/empalme/handoff.sock   # started again, it takes over";

// The flags as typed, before they are judged.
struct Typed {
  std::string admin = default_admin();
  bool insecure_loopback = false;
  std::string announce = "none";
  std::string vrrp_peers;
  std::string observe;
  std::vector<std::string> spare_sources;
  Config config;
};

void add_vrrp_flags(CLI::App& app, Typed& typed) {
  auto& vrrp = typed.config.vrrp;
  app.add_option("--vrrp-peers", typed.vrrp_peers,
                 "Addresses of the data planes that share the addresses, between commas; our own "
                 "may be among them; none: adverts are multicast")
      ->envname("EMPALME_VRRP_PEERS");
  app.add_option("--vrrp-peers-file", vrrp.peers_file,
                 "A file with more of them, read again when it changes")
      ->envname("EMPALME_VRRP_PEERS_FILE");
  app.add_option("--vrrp-routers", vrrp.routers,
                 "Virtual routers that addresses are spread over; the same everywhere")
      ->envname("EMPALME_VRRP_ROUTERS")
      ->check(CLI::Range(1u, 255u))
      ->capture_default_str();
  app.add_option("--vrrp-ids", vrrp.first_id, "Number of the first virtual router on the network")
      ->envname("EMPALME_VRRP_IDS")
      ->check(CLI::Range(1u, 255u))
      ->capture_default_str();
  app.add_option("--vrrp-advert-ms", vrrp.advert_ms,
                 "Milliseconds between two adverts; after three, another takes over")
      ->envname("EMPALME_VRRP_ADVERT_MS")
      ->check(CLI::Range(10u, 40950u))
      ->capture_default_str();
  app.add_option("--vrrp-priority", vrrp.priority,
                 "Our priority for every router; 0: spread over the data planes by a hash")
      ->envname("EMPALME_VRRP_PRIORITY")
      ->check(CLI::Range(0u, 254u))
      ->capture_default_str();
}

void add_admin_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--admin", typed.admin, "Admin API: unix:/path or tcp:HOST:PORT")
      ->envname("EMPALME_ADMIN")
      ->capture_default_str();
  app.add_option("--tls-cert", config.tls.certificate, "Our certificate (PEM), for a TCP admin API")
      ->envname("EMPALME_TLS_CERT");
  app.add_option("--tls-key", config.tls.key, "Its key (PEM)")->envname("EMPALME_TLS_KEY");
  app.add_option("--tls-ca", config.tls.authority, "Who signs the certificates of clients (PEM)")
      ->envname("EMPALME_TLS_CA");
  app.add_option("--tls-client-name", config.tls_client_name,
                 "The DNS name that a client's certificate must be for; empty: any that --tls-ca "
                 "signed")
      ->envname("EMPALME_TLS_CLIENT_NAME")
      ->capture_default_str();
  app.add_flag("--insecure-loopback", typed.insecure_loopback,
               "Allow a TCP admin address on loopback without authentication")
      ->envname("EMPALME_INSECURE_LOOPBACK");
  app.add_option("--observe", typed.observe, "HOST:PORT for /healthz, /readyz and /metrics")
      ->envname("EMPALME_OBSERVE");
}

void add_state_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--state-dir", config.state_dir, "Folder that keeps the state over restarts")
      ->envname("EMPALME_STATE_DIR");
  app.add_option("--state", config.state_file, "Load this document at start, not the saved one")
      ->envname("EMPALME_STATE");
  app.add_option("--keys-dir", config.keys_dir,
                 "Folder, in memory, that keeps certificates and keys over restarts; by default "
                 "beside a unix --admin socket")
      ->envname("EMPALME_KEYS_DIR");
  app.add_flag("--persist-keys", config.persist_keys,
               "Keep them on a disk too, by default in the state folder")
      ->envname("EMPALME_PERSIST_KEYS");
  app.add_option("--drain", config.drain_s,
                 "Seconds that open connections may go on after SIGTERM before they are reset")
      ->envname("EMPALME_DRAIN")
      ->check(CLI::Range(0u, 86400u))
      ->capture_default_str();
  app.add_option("--handoff", config.handoff,
                 "Unix socket for upgrades without a gap: a process that is started with the same "
                 "one takes listening sockets, state and counters of the one that runs")
      ->envname("EMPALME_HANDOFF");
  app.add_option("--handoff-drain", config.handoff_drain_s,
                 "Seconds that connections may go on here after another process has taken over")
      ->envname("EMPALME_HANDOFF_DRAIN")
      ->check(CLI::Range(0u, 86400u))
      ->capture_default_str();
}

void add_traffic_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--workers", config.workers, "Worker threads")
      ->envname("EMPALME_WORKERS")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--zone", config.zone,
                 "Our zone: services with prefer_zone use the backends of the same zone first")
      ->envname("EMPALME_ZONE");
  app.add_option("--announce", typed.announce,
                 "How addresses are announced: none, auto (the interface with the node's own "
                 "address), interface:NAME, or vrrp:NAME (shared with other data planes by "
                 "keepalived)")
      ->envname("EMPALME_ANNOUNCE")
      ->capture_default_str();
  app.add_option("--spare-sources", typed.spare_sources,
                 "Local addresses, separated by commas, to dial backends from when the one that "
                 "routes choose has no port left; never one that is announced")
      ->envname("EMPALME_SPARE_SOURCES")
      ->delimiter(',');
  add_vrrp_flags(app, typed);
}

void add_log_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--log-connections", config.log_connections,
                 "Write every N-th ended connection to standard output as a JSON line; 0: none")
      ->envname("EMPALME_LOG_CONNECTIONS")
      ->capture_default_str();
  app.add_option("--log-level", config.log_level, "Least level that is logged")
      ->envname("EMPALME_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

Status judge_vrrp(Typed& typed) {
  auto& vrrp = typed.config.vrrp;
  if (vrrp.interface.empty()) return Error{"Flag", "--announce vrrp:NAME needs an interface"};
  auto peers = announce::parse_peers(typed.vrrp_peers);
  if (!peers) return Error{"Flag", "--vrrp-peers: " + peers.error().message};
  vrrp.peers = std::move(peers).value();
  if (vrrp.first_id + vrrp.routers > 256) {
    return Error{"Flag", "--vrrp-ids and --vrrp-routers: virtual routers end at 255"};
  }
  if (vrrp.advert_ms % 10 != 0) return Error{"Flag", "--vrrp-advert-ms takes multiples of 10"};
  return Done{};
}

Status judge_announce(Typed& typed) {
  constexpr std::string_view kVrrp = "vrrp:";
  constexpr std::string_view kInterface = "interface:";
  Config& config = typed.config;
  if (typed.announce == "none") return Done{};
  if (typed.announce == "auto") {
    config.announce = Announce::kAuto;
    return Done{};
  }
  if (typed.announce.starts_with(kVrrp)) {
    config.announce = Announce::kVrrp;
    config.vrrp.interface = typed.announce.substr(kVrrp.size());
    return judge_vrrp(typed);
  }
  config.announce = Announce::kInterface;
  if (typed.announce.starts_with(kInterface)) {
    config.interface = typed.announce.substr(kInterface.size());
    if (!config.interface.empty()) return Done{};
  }
  return Error{"Flag", "--announce takes none, auto, interface:NAME or vrrp:NAME, not '" +
                           typed.announce + "'"};
}

Status judge_spare_sources(Typed& typed) {
  for (const auto& text : typed.spare_sources) {
    const auto address = IpAddress::parse(text);
    if (!address || address->is_wildcard()) {
      return Error{"Flag", "--spare-sources takes addresses, not '" + text + "'"};
    }
    typed.config.spare_sources.push_back(*address);
  }
  return Done{};
}

Status judge(Typed& typed) {
  auto admin = parse_admin(typed.admin, typed.config.tls, typed.insecure_loopback);
  if (!admin.ok()) return admin.error();
  typed.config.admin = *admin;
  if (const auto announce = judge_announce(typed); !announce.ok()) return announce;
  if (const auto sources = judge_spare_sources(typed); !sources.ok()) return sources.error();
  const auto observe = net::parse_observe(typed.observe);
  if (!observe) return observe.error();
  typed.config.observe = *observe;
  if (typed.config.persist_keys && typed.config.keys_dir.empty() &&
      typed.config.state_dir.empty()) {
    return Error{"Flag", "--persist-keys needs --keys-dir or --state-dir"};
  }
  if (typed.config.handoff.starts_with("unix:")) typed.config.handoff.erase(0, 5);
  if (typed.config.handoff.size() > kMaxSocketPath) {
    return Error{"Flag", "--handoff: a unix socket's path has at most 107 characters"};
  }
  return Done{};
}

}  // namespace

std::string default_admin() { return "unix:" + net::default_socket_folder() + "/dataplane.sock"; }

Result<net::SocketAddress> parse_admin(const std::string& text, const net::TlsFiles& tls,
                                       bool insecure_loopback) {
  auto address = net::parse_socket_address(text);
  if (!address) return Error{"Flag", "--admin: " + address.error().message};
  const auto* endpoint = std::get_if<Endpoint>(&address.value());
  if (tls.any() && !tls.all()) {
    return Error{"Flag", "--tls-cert, --tls-key and --tls-ca belong together"};
  }
  if (endpoint == nullptr && tls.any()) {
    return Error{"Flag", "--tls-cert, --tls-key and --tls-ca are for --admin tcp:HOST:PORT"};
  }
  const bool plain_allowed =
      endpoint == nullptr || (insecure_loopback && endpoint->address.is_loopback());
  if (tls.all() || plain_allowed) return address;
  return Error{"Flag",
               "--admin over TCP needs --tls-cert, --tls-key and --tls-ca; or use unix:/path, or a "
               "loopback address with --insecure-loopback"};
}

std::variant<Config, Exit> parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"Empalme's data plane: listens, balances and splices", "empalme-dataplane"};
  app.set_version_flag("--version", std::string("empalme-dataplane ") + EMPALME_VERSION);
  app.footer(kExamples);
  Typed typed;
  typed.config.workers = std::max(1u, std::thread::hardware_concurrency());
  add_admin_flags(app, typed);
  add_state_flags(app, typed);
  add_traffic_flags(app, typed);
  add_log_flags(app, typed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    std::ostringstream out, err;
    const int code = app.exit(stop, out, err);
    return Exit{code == 0 ? 0 : 2, out.str() + err.str()};
  }
  if (const Status sound = judge(typed); !sound.ok()) return Exit{2, sound.error().message + "\n"};
  return typed.config;
}

}  // namespace lb::dataplane
