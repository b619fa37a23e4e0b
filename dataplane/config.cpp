#include "dataplane/config.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <thread>

namespace lb::dataplane {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  empalme-dataplane --state lb.json\n"
    "  empalme-dataplane --admin unix:/run/empalme/dataplane.sock --state-dir /var/lib/empalme\n"
    "  empalme-dataplane --observe 127.0.0.1:9902 --workers 2";

// The flags as typed, before they are judged.
struct Typed {
  std::string admin = default_admin();
  bool insecure_loopback = false;
  std::string announce = "none";
  std::string observe;
  Config config;
};

void add_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--admin", typed.admin, "Admin API: unix:/path or tcp:HOST:PORT")
      ->envname("EMPALME_ADMIN")
      ->capture_default_str();
  app.add_flag("--insecure-loopback", typed.insecure_loopback,
               "Allow a TCP admin address on loopback without authentication")
      ->envname("EMPALME_INSECURE_LOOPBACK");
  app.add_option("--state-dir", config.state_dir, "Folder that keeps the state over restarts")
      ->envname("EMPALME_STATE_DIR");
  app.add_option("--state", config.state_file, "Load this document at start, not the saved one")
      ->envname("EMPALME_STATE");
  app.add_option("--workers", config.workers, "Worker threads")
      ->envname("EMPALME_WORKERS")
      ->check(CLI::Range(1u, 1024u))
      ->capture_default_str();
  app.add_option("--announce", typed.announce, "How addresses are announced: none")
      ->envname("EMPALME_ANNOUNCE")
      ->capture_default_str();
  app.add_option("--observe", typed.observe, "HOST:PORT for /healthz, /readyz and /metrics")
      ->envname("EMPALME_OBSERVE");
  app.add_option("--log-level", config.log_level, "Least level that is logged")
      ->envname("EMPALME_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

Status judge(Typed& typed) {
  auto admin = parse_admin(typed.admin, typed.insecure_loopback);
  if (!admin.ok()) return admin.error();
  typed.config.admin = *admin;
  if (typed.announce != "none") {
    return Error{"Unsupported", "--announce " + typed.announce + " is not built yet; use none"};
  }
  if (typed.observe.empty()) return Done{};
  const auto observe = parse_endpoint(typed.observe);
  if (!observe.ok()) return Error{"Flag", "--observe: " + observe.error().message};
  if (observe->address.is_wildcard()) {
    return Error{"Flag", "--observe needs one address of this machine, not a wildcard"};
  }
  typed.config.observe = *observe;
  return Done{};
}

}  // namespace

std::string default_admin() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::string folder = "/tmp/empalme-" + std::to_string(::getuid());
  if (::getuid() == 0) {
    folder = "/run/empalme";
  } else if (runtime != nullptr && *runtime != '\0') {
    folder = std::string(runtime) + "/empalme";
  }
  return "unix:" + folder + "/dataplane.sock";
}

Result<AdminAddress> parse_admin(const std::string& text, bool insecure_loopback) {
  if (text.starts_with("unix:/")) return AdminAddress{UnixPath{text.substr(5)}};
  if (!text.starts_with("tcp:")) {
    return Error{"Flag", "--admin takes unix:/path or tcp:HOST:PORT, not '" + text + "'"};
  }
  const auto endpoint = parse_endpoint(text.substr(4));
  if (!endpoint.ok()) return Error{"Flag", "--admin: " + endpoint.error().message};
  if (!insecure_loopback || !endpoint->address.is_loopback()) {
    return Error{"Unsupported",
                 "--admin over TCP needs mTLS, which is not built yet; use unix:/path, or a "
                 "loopback address with --insecure-loopback"};
  }
  return AdminAddress{*endpoint};
}

std::variant<Config, Exit> parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"Empalme's data plane: listens, balances and splices", "empalme-dataplane"};
  app.set_version_flag("--version", std::string("empalme-dataplane ") + EMPALME_VERSION);
  app.footer(kExamples);
  Typed typed;
  typed.config.workers = std::max(1u, std::thread::hardware_concurrency());
  add_flags(app, typed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    std::ostringstream out, err;
    const int code = app.exit(stop, out, err);
    return Exit{code, out.str() + err.str()};
  }
  if (const Status sound = judge(typed); !sound.ok()) return Exit{2, sound.error().message + "\n"};
  return typed.config;
}

}  // namespace lb::dataplane
