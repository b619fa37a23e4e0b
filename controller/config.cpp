#include "controller/config.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "controller/auto_pool.hpp"
#include "controller/core/plan.hpp"

namespace lb::controller {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  empalme-controller --source kubernetes --pool 192.0.2.10-192.0.2.20\n"
    "  empalme-controller --source kubernetes --pool auto --claim-unclassed\n"
    "  empalme-controller --source file:lb.yaml --dataplane unix:/run/empalme/dataplane.sock\n"
    "  empalme-controller --source docker      containers that ask for it by label\n"
    "  empalme-controller --source consul      instances that ask for it by tag\n"
    "  empalme-controller validate lb.yaml     say what is wrong with a file, and where\n"
    "  empalme-controller uninstall            free every Service of a cluster from our marks\n";

constexpr char kDockerSocket[] = "unix:/var/run/docker.sock";

// The flags as typed, before they are judged.
struct Typed {
  std::vector<std::string> sources;
  std::vector<std::string> pools;
  std::vector<std::string> dataplanes;
  std::string observe;
  std::string admin;
  std::string lease;
  Validate validate;
  Config config;
};

std::string default_dataplane() {
  return "unix:" + net::default_socket_folder() + "/dataplane.sock";
}

void add_service_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  config.load_balancer_class = plan::kDefaultClass;
  app.add_option("--source", typed.sources,
                 "kubernetes, file:PATH, docker (docker:unix:/PATH, docker:tcp:HOST:PORT; "
                 "default: /var/run/docker.sock) or consul (consul:HOST:PORT, "
                 "consul:https:HOST:PORT, consul:unix:/PATH; default: 127.0.0.1:8500); may be "
                 "repeated, and a file changes services of those before it")
      ->envname("EMPALME_SOURCE")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--pool", typed.pools,
                 "Addresses to give: CIDR, FIRST-LAST, or auto (the upper end of this node's own "
                 "subnet); may be repeated")
      ->envname("EMPALME_POOL")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--class", config.load_balancer_class, "The loadBalancerClass that is ours")
      ->envname("EMPALME_CLASS")
      ->capture_default_str();
  app.add_flag("--claim-unclassed", config.claim_unclassed, "Take Services without a class too")
      ->envname("EMPALME_CLAIM_UNCLASSED");
  app.add_option(
         "--allow-privileged-policy", config.privileged,
         "Namespaces whose Services may set accept-proxy-from, busy-poll-us and congestion; "
         "'*' for all")
      ->envname("EMPALME_ALLOW_PRIVILEGED_POLICY")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("--strict-endpoints", config.strict_endpoints,
               "Send connections only to addresses of Pods of the Service's namespace, whatever "
               "its EndpointSlices say; needs list and watch on pods")
      ->envname("EMPALME_STRICT_ENDPOINTS");
}

void add_dataplane_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option(
         "--dataplane", typed.dataplanes,
         "A data plane's admin API: unix:/path or tcp:HOST:PORT; may be repeated; default: " +
             default_dataplane())
      ->envname("EMPALME_DATAPLANE")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--dataplane-service", config.dataplane_service,
                 "NAMESPACE/NAME of a headless Service: its endpoints are data planes too, at the "
                 "port named admin")
      ->envname("EMPALME_DATAPLANE_SERVICE");
  app.add_option("--tls-cert", config.tls.certificate,
                 "Our certificate (PEM), for a data plane over TCP")
      ->envname("EMPALME_TLS_CERT");
  app.add_option("--tls-key", config.tls.key, "Its key (PEM)")->envname("EMPALME_TLS_KEY");
  app.add_option("--tls-ca", config.tls.authority, "Who signs the data plane's certificate (PEM)")
      ->envname("EMPALME_TLS_CA");
  app.add_option("--tls-server-name", config.tls_server_name,
                 "The DNS name that a data plane's certificate must be for; empty: its address")
      ->envname("EMPALME_TLS_SERVER_NAME")
      ->capture_default_str();
  app.add_option("--tls-secret", config.tls_secret,
                 "NAMESPACE/NAME of a Secret with certificates for data planes and controllers, "
                 "which whoever leads makes and renews; instead of --tls-cert, --tls-key, --tls-ca")
      ->envname("EMPALME_TLS_SECRET");
}

void add_docker_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--docker-tls-cert", config.docker_tls.certificate,
                 "Our certificate (PEM), for --source docker:tcp:HOST:PORT")
      ->envname("EMPALME_DOCKER_TLS_CERT");
  app.add_option("--docker-tls-key", config.docker_tls.key, "Its key (PEM)")
      ->envname("EMPALME_DOCKER_TLS_KEY");
  app.add_option("--docker-tls-ca", config.docker_tls.authority,
                 "Who signs the Docker daemon's certificate (PEM)")
      ->envname("EMPALME_DOCKER_TLS_CA");
  app.add_option("--docker-tls-server-name", config.docker_tls_server_name,
                 "The DNS name that the daemon's certificate must be for; default: its address")
      ->envname("EMPALME_DOCKER_TLS_SERVER_NAME");
}

void add_consul_flags(CLI::App& app, ConsulFlags& consul) {
  const auto flag = [&app](const char* name, auto& value, const char* help, const char* variable) {
    app.add_option(name, value, help)->envname(variable);
  };
  flag("--consul-ca", consul.tls.authority,
       "Who signs the agent's certificate (PEM), for --source consul:https:HOST:PORT",
       "EMPALME_CONSUL_CA");
  flag("--consul-cert", consul.tls.certificate,
       "Our certificate (PEM), where the agent wants to see one", "EMPALME_CONSUL_CERT");
  flag("--consul-key", consul.tls.key, "Its key (PEM)", "EMPALME_CONSUL_KEY");
  flag("--consul-server-name", consul.server_name,
       "The DNS name that the agent's certificate must be for; default: its address",
       "EMPALME_CONSUL_SERVER_NAME");
  flag("--consul-token-file", consul.token_file,
       "A file with the ACL token; it needs service:read and node:read",
       "EMPALME_CONSUL_TOKEN_FILE");
  flag("--consul-datacenter", consul.datacenter, "Default: the agent's own",
       "EMPALME_CONSUL_DATACENTER");
  app.add_flag("--consul-token-in-clear", consul.token_in_clear,
               "Send the token over plain TCP to an address that is not loopback")
      ->envname("EMPALME_CONSUL_TOKEN_IN_CLEAR");
}

void add_own_flags(CLI::App& app, Typed& typed) {
  Config& config = typed.config;
  app.add_option("--kubeconfig", config.kubeconfig,
                 "How to reach the cluster; default: the service account, KUBECONFIG, "
                 "~/.kube/config")
      ->envname("EMPALME_KUBECONFIG");
  app.add_option(
         "--lease", typed.lease,
         "NAMESPACE/NAME of a Lease: of the controllers that share it one leads, the others "
         "stand by")
      ->envname("EMPALME_LEASE");
  app.add_option("--observe", typed.observe, "HOST:PORT for /healthz, /readyz and /metrics")
      ->envname("EMPALME_OBSERVE");
  app.add_option("--admin", typed.admin,
                 "unix:/path of our own admin socket, for empalme explain; default: unix:" +
                     net::default_socket_folder() + "/controller.sock")
      ->envname("EMPALME_CONTROLLER_ADMIN");
  app.add_flag("--check", config.check, "Say whether flags and files are sound, and end");
  app.add_option("--log-level", config.log_level, "Least level that is logged")
      ->envname("EMPALME_LOG_LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
}

Status judge_docker_source(Config& config, const std::string& source) {
  if (config.docker) return Error{"Flag", "--source docker may be given once"};
  const std::string where =
      source == "docker" ? kDockerSocket : source.substr(std::string_view("docker:").size());
  auto address = net::parse_socket_address(where);
  if (!address) return Error{"Flag", "--source " + source + ": " + address.error().message};
  config.docker = std::move(address).value();
  return Done{};
}

Status judge_docker(const Config& config) {
  const auto* tcp = config.docker ? std::get_if<Endpoint>(&*config.docker) : nullptr;
  const bool tls = config.docker_tls.any();
  if (tls && !config.docker_tls.all()) {
    return Error{"Flag", "--docker-tls-cert, --docker-tls-key and --docker-tls-ca belong together"};
  }
  if (tls && tcp == nullptr) {
    return Error{"Flag", "--docker-tls-cert is for --source docker:tcp:HOST:PORT"};
  }
  if (tls || tcp == nullptr || tcp->address.is_loopback()) return Done{};
  return Error{"Flag",
               "--source docker:tcp: needs --docker-tls-cert, --docker-tls-key and "
               "--docker-tls-ca, but for a loopback address"};
}

Status judge_sources(Typed& typed) {
  for (const auto& source : typed.sources) {
    if (source == "kubernetes") {
      typed.config.kubernetes = true;
    } else if (source.starts_with("file:") && source.size() > 5) {
      auto& files = typed.config.files;
      if (std::find(files.begin(), files.end(), source.substr(5)) != files.end()) {
        return Error{"Flag", "--source " + source + " is given twice"};
      }
      files.push_back(source.substr(5));
    } else if (source == "docker" || source.starts_with("docker:")) {
      if (const auto sound = judge_docker_source(typed.config, source); !sound) return sound;
    } else if (source == "consul" || source.starts_with("consul:")) {
      if (const auto sound = read_consul_source(source, typed.config.consul); !sound) return sound;
    } else {
      return Error{"Flag",
                   "--source takes kubernetes, docker, consul or file:PATH, not '" + source + "'"};
    }
  }
  if (typed.config.strict_endpoints && !typed.config.kubernetes) {
    return Error{"Flag", "--strict-endpoints needs --source kubernetes"};
  }
  if (typed.sources.empty()) {
    return Error{"Flag",
                 "--source is needed: kubernetes, docker, consul or file:PATH (see --help)"};
  }
  if (const auto sound = judge_consul(typed.config.consul); !sound) return sound;
  return judge_docker(typed.config);
}

Status judge_pools(Typed& typed) {
  for (const auto& text : typed.pools) {
    auto range = text == "auto" ? auto_pool() : AddressRange::parse(text);
    if (!range) return Error{"Flag", "--pool " + text + ": " + range.error().message};
    if (const auto why = plan::refuse_range(*range)) {
      return Error{"Flag", "--pool " + text + ": " + *why};
    }
    typed.config.pools.push_back(*range);
  }
  return Done{};
}

bool names_an_object(const std::string& text) {
  const size_t slash = text.find('/');
  return slash != std::string::npos && slash != 0 && slash + 1 < text.size() &&
         slash == text.rfind('/');
}

bool has_certificates(const Config& config) {
  return config.tls.all() || !config.tls_secret.empty();
}

Status judge_certificates(const Config& config) {
  if (config.tls.any() && !config.tls.all()) {
    return Error{"Flag", "--tls-cert, --tls-key and --tls-ca belong together"};
  }
  if (config.tls_secret.empty()) return Done{};
  if (config.tls.any()) return Error{"Flag", "--tls-secret stands instead of --tls-cert"};
  if (!config.kubernetes) return Error{"Flag", "--tls-secret needs --source kubernetes"};
  if (names_an_object(config.tls_secret)) return Done{};
  return Error{"Flag", "--tls-secret takes NAMESPACE/NAME, not '" + config.tls_secret + "'"};
}

Status judge_dataplane(Config& config, const std::string& text) {
  auto dataplane = net::parse_socket_address(text);
  if (!dataplane) return Error{"Flag", "--dataplane: " + dataplane.error().message};
  for (const auto& other : config.dataplanes) {
    if (other == *dataplane) return Error{"Flag", "--dataplane " + text + " is given twice"};
  }
  config.dataplanes.push_back(*dataplane);
  const auto* tcp = std::get_if<Endpoint>(&*dataplane);
  if (tcp == nullptr || tcp->address.is_loopback() || has_certificates(config)) return Done{};
  return Error{"Flag",
               "--dataplane over TCP needs --tls-secret, or --tls-cert, --tls-key and --tls-ca"};
}

Status judge_dataplane_service(const Config& config) {
  if (!config.kubernetes) return Error{"Flag", "--dataplane-service needs --source kubernetes"};
  if (!names_an_object(config.dataplane_service)) {
    return Error{
        "Flag", "--dataplane-service takes NAMESPACE/NAME, not '" + config.dataplane_service + "'"};
  }
  if (has_certificates(config)) return Done{};
  return Error{"Flag",
               "--dataplane-service needs --tls-secret, or --tls-cert, --tls-key and --tls-ca"};
}

Status judge_dataplanes(Typed& typed) {
  Config& config = typed.config;
  if (const auto sound = judge_certificates(config); !sound) return sound;
  if (!config.dataplane_service.empty()) {
    if (const auto sound = judge_dataplane_service(config); !sound) return sound;
  } else if (typed.dataplanes.empty()) {
    typed.dataplanes.push_back(default_dataplane());
  }
  for (const auto& text : typed.dataplanes) {
    if (const auto sound = judge_dataplane(config, text); !sound) return sound;
  }
  const bool tcp = std::any_of(config.dataplanes.begin(), config.dataplanes.end(),
                               [](auto& each) { return std::holds_alternative<Endpoint>(each); });
  if (!config.tls.any() || tcp || !config.dataplane_service.empty()) return Done{};
  return Error{"Flag", "--tls-cert, --tls-key and --tls-ca are for --dataplane tcp:HOST:PORT"};
}

Status judge_lease(Typed& typed) {
  if (typed.lease.empty()) return Done{};
  const size_t slash = typed.lease.find('/');
  Config& config = typed.config;
  if (!config.kubernetes) return Error{"Flag", "--lease needs --source kubernetes"};
  if (!names_an_object(typed.lease)) {
    return Error{"Flag", "--lease takes NAMESPACE/NAME, not '" + typed.lease + "'"};
  }
  config.lease_namespace = typed.lease.substr(0, slash);
  config.lease_name = typed.lease.substr(slash + 1);
  return Done{};
}

Status judge_admin(Typed& typed) {
  Config& config = typed.config;
  config.admin = net::UnixPath{net::default_socket_folder() + "/controller.sock"};
  if (typed.admin.empty()) return Done{};
  auto admin = net::parse_socket_address(typed.admin);
  if (!admin) return Error{"Flag", "--admin: " + admin.error().message};
  if (!std::holds_alternative<net::UnixPath>(*admin)) {
    return Error{"Flag", "--admin takes unix:/path, not '" + typed.admin + "'"};
  }
  config.admin = std::move(admin).value();
  config.admin_given = true;
  return Done{};
}

Status judge(Typed& typed) {
  if (const auto sound = judge_sources(typed); !sound) return sound;
  if (const auto sound = judge_pools(typed); !sound) return sound;
  if (const auto sound = judge_dataplanes(typed); !sound) return sound;
  if (const auto sound = judge_admin(typed); !sound) return sound;
  if (const auto sound = judge_lease(typed); !sound) return sound;
  const auto observe = net::parse_observe(typed.observe);
  if (!observe) return observe.error();
  typed.config.observe = *observe;
  return Done{};
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"Empalme's controller: turns sources of services into backend sets",
               "empalme-controller"};
  app.set_version_flag("--version", std::string("empalme-controller ") + EMPALME_VERSION);
  app.footer(kExamples);
  Typed typed;
  add_service_flags(app, typed);
  add_dataplane_flags(app, typed);
  add_docker_flags(app, typed);
  add_consul_flags(app, typed.config.consul);
  add_own_flags(app, typed);
  auto* validate = app.add_subcommand("validate", "check a configuration file");
  validate
      ->add_option("FILE", typed.validate.files,
                   "YAML or JSON, '-' for standard input; each is laid over those before it")
      ->required();
  validate->add_flag("--show", typed.validate.show, "Print what would be served");
  auto* uninstall =
      app.add_subcommand("uninstall", "take our finalizers and status off every Service");
  uninstall->add_option("--kubeconfig", typed.config.kubeconfig, "How to reach the cluster");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    std::ostringstream out, err;
    const int code = app.exit(stop, out, err);
    return Exit{code == 0 ? 0 : 2, out.str() + err.str()};
  }
  if (validate->parsed()) return typed.validate;
  if (uninstall->parsed()) return Uninstall{typed.config.kubeconfig};
  if (const auto sound = judge(typed); !sound) return Exit{2, sound.error().message + "\n"};
  return typed.config;
}

}  // namespace lb::controller
