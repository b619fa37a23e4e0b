#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <iostream>

#include "common/net/http_client.hpp"
#include "common/net/query.hpp"
#include "empalme/explanation.hpp"
#include "empalme/flow_table.hpp"
#include "empalme/programs.hpp"
#include "empalme/status_table.hpp"
#include "empalme/up.hpp"

namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  empalme validate lb.yaml               say what is wrong with a file, and where\n"
    "  empalme up --source file:lb.yaml       serve what the file says, until Ctrl-C\n"
    "  empalme status                         what is served, and how it is\n"
    "  empalme explain default/web            why this address, why these backends, what is wrong\n"
    "  empalme flows --service file/web       who is connected to whom\n"
    "  empalme drain --backend 10.0.0.7:80    nothing new goes there, until drain --lift\n"
    "  empalme up --source docker             serve containers that ask for it by label\n"
    "  empalme up --source consul             serve instances that ask for it by tag\n"
    "  empalme up --source kubernetes --pool 192.0.2.10-192.0.2.20 --announce auto\n"
    "  empalme uninstall                      free every Service of a cluster from our marks\n";

struct Typed {
  lb::cli::UpOptions up;
  std::string admin;
  lb::net::TlsFiles tls;
  std::string tls_server_name = lb::net::kDataplaneName;
  bool json = false;
  lb::cli::FlowWish flows;
  std::string id;
  bool lift = false;
  std::vector<std::string> files;
  bool show = false;
  std::string kubeconfig;
  std::string controller;
  std::string service;
  std::function<int()> run;  // what was asked for
};

void add_up(CLI::App& app, Typed& typed) {
  lb::cli::UpOptions& up = typed.up;
  auto* out = app.add_subcommand("up", "run a controller and a data plane until a signal");
  const auto flag = [out](const char* name, auto& value, const char* help, const char* variable) {
    return out->add_option(name, value, help)->envname(variable);
  };
  flag("--source", up.sources,
       "kubernetes, docker[:unix:/PATH], consul[:HOST:PORT] or file:PATH; may be repeated, and a "
       "file changes services of those before it",
       "EMPALME_SOURCE")
      ->delimiter(',')
      ->required();
  flag("--pool", up.pools, "Addresses to give: CIDR, FIRST-LAST or auto", "EMPALME_POOL");
  flag("--class", up.load_balancer_class, "The loadBalancerClass that is ours", "EMPALME_CLASS");
  out->add_flag("--claim-unclassed", up.claim_unclassed, "Take Services without a class too")
      ->envname("EMPALME_CLAIM_UNCLASSED");
  flag("--kubeconfig", up.kubeconfig, "How to reach the cluster", "EMPALME_KUBECONFIG");
  flag("--zone", up.zone, "Our zone, for services with prefer_zone", "EMPALME_ZONE");
  flag("--announce", up.announce, "none, auto or interface:NAME", "EMPALME_ANNOUNCE")
      ->capture_default_str();
  flag("--state-dir", up.state_dir, "Folder that keeps the state", "EMPALME_STATE_DIR")
      ->default_str(lb::cli::default_state_folder());
  flag("--workers", up.workers, "Worker threads; 0: one for each core", "EMPALME_WORKERS")
      ->capture_default_str();
  flag("--drain", up.drain_s, "Seconds for open connections at the end", "EMPALME_DRAIN")
      ->capture_default_str();
  flag("--observe", up.observe, "Health and metrics of the data plane, or none", "EMPALME_OBSERVE")
      ->capture_default_str();
  flag("--observe-controller", up.observe_controller, "The same of the controller",
       "EMPALME_OBSERVE_CONTROLLER")
      ->capture_default_str();
  flag("--socket-dir", up.socket_dir, "Folder of the admin socket", "EMPALME_SOCKET_DIR")
      ->capture_default_str();
  flag("--log-level", up.log_level, "debug, info, warning or error", "EMPALME_LOG_LEVEL")
      ->capture_default_str();
  out->callback([&typed] { typed.run = [&typed] { return lb::cli::up(typed.up); }; });
}

lb::Result<lb::net::HttpServerAddress> dataplane_of(const Typed& typed) {
  const auto address = lb::net::parse_socket_address(typed.admin);
  if (!address) return lb::Error{"Flag", "--admin: " + address.error().message};
  if (!typed.tls.any()) return lb::net::HttpServerAddress(*address);
  auto tls =
      lb::net::TlsIdentity::load(typed.tls, lb::net::TlsRole::kClient, typed.tls_server_name);
  if (!tls) return tls.error();
  return lb::net::HttpServerAddress(*address, std::move(tls).value());
}

void add_place(CLI::App& command, Typed& typed) {
  command.add_option("--service", typed.flows.service, "Of this service, as status names it");
  command.add_option("--backend", typed.flows.backend, "Of this backend, ADDRESS:PORT");
}

void add_admin(CLI::App& command, Typed& typed) {
  const auto flag = [&](const char* name, auto& value, const char* help, const char* variable) {
    return command.add_option(name, value, help)->envname(variable);
  };
  flag("--admin", typed.admin, "The data plane's admin API", "EMPALME_ADMIN")
      ->capture_default_str();
  flag("--tls-cert", typed.tls.certificate, "Our certificate (PEM)", "EMPALME_TLS_CERT");
  flag("--tls-key", typed.tls.key, "Its key (PEM)", "EMPALME_TLS_KEY");
  flag("--tls-ca", typed.tls.authority, "Who signs the data plane's (PEM)", "EMPALME_TLS_CA");
  flag("--tls-server-name", typed.tls_server_name,
       "The DNS name in it (dataplane.empalme); empty: its address", "EMPALME_TLS_SERVER_NAME");
}

using Render = std::function<lb::Result<std::string>(std::string_view)>;

// Asks and prints; the exit code.
int ask(const Typed& typed, const lb::Result<lb::net::HttpServerAddress>& server, const char* who,
        lb::net::HttpRequest request, const Render& render) {
  if (!server) {
    std::cerr << server.error().message << "\n";
    return 2;
  }
  const auto answer = lb::net::ask(*server, std::move(request), std::chrono::seconds(5));
  if (!answer) {
    std::cerr << answer.error().message << "\nIs a " << who << " running there? See empalme up.\n";
    return 1;
  }
  if (answer->status != 200) {
    std::cerr << lb::cli::refusal_text(answer->body) << "\n";
    return 1;
  }
  const auto text = typed.json ? lb::Result<std::string>(answer->body) : render(answer->body);
  std::cout << (text ? *text : text.error().message + "\n");
  return text ? 0 : 1;
}

int ask(const Typed& typed, lb::net::HttpRequest request, const Render& render) {
  return ask(typed, dataplane_of(typed), "data plane", std::move(request), render);
}

int explain(const Typed& typed) {
  const auto address = lb::net::parse_socket_address(typed.controller);
  const auto server =
      address ? lb::Result<lb::net::HttpServerAddress>(lb::net::HttpServerAddress(*address))
              : lb::Error{"Flag", "--controller: " + address.error().message};
  return ask(typed, server, "controller",
             {"GET", "/v1/explain?service=" + lb::net::percent_encode(typed.service), {}, {}},
             lb::cli::explanation);
}

int status(const Typed& typed) {
  return ask(typed, {"GET", "/v1/status", {}, {}}, lb::cli::status_table);
}

int flows(const Typed& typed) {
  return ask(typed, {"GET", "/v1/flows?" + lb::cli::flow_query(typed.flows), {}, {}},
             lb::cli::flow_table);
}

int kill(const Typed& typed) {
  return ask(typed, {"DELETE", "/v1/flows/" + lb::net::percent_encode(typed.id), {}, {}},
             [](std::string_view) { return lb::Result<std::string>("ended\n"); });
}

int drain(const Typed& typed) {
  return ask(typed,
             {typed.lift ? "DELETE" : "POST", "/v1/drain", {}, lb::cli::drain_body(typed.flows)},
             lb::cli::drain_table);
}

// Everything, only where that was said.
int drain_named(const Typed& typed) {
  if (typed.flows.all || !typed.flows.service.empty() || !typed.flows.backend.empty()) {
    return drain(typed);
  }
  std::cerr << "name a --service or a --backend, or say --all\n";
  return 2;
}

int uninstall(const Typed& typed) {
  std::vector<std::string> arguments{"uninstall"};
  if (!typed.kubeconfig.empty()) arguments.push_back("--kubeconfig=" + typed.kubeconfig);
  return lb::cli::become("empalme-controller", arguments);
}

CLI::App& add(CLI::App& app, Typed& typed, const char* name, const char* help,
              int (*run)(const Typed&)) {
  auto* out = app.add_subcommand(name, help);
  out->callback([&typed, run] { typed.run = [&typed, run] { return run(typed); }; });
  return *out;
}

void add_questions(CLI::App& app, Typed& typed) {
  auto& show = add(app, typed, "status", "show what is served", status);
  add_admin(show, typed);
  show.add_flag("--json", typed.json, "As the data plane says it");
  auto& why = add(app, typed, "explain", "why a service is as it is", explain);
  why.add_option("SERVICE", typed.service, "NAMESPACE/NAME, or a key as status shows it")
      ->required();
  why.add_option("--controller", typed.controller, "The controller's admin socket")
      ->envname("EMPALME_CONTROLLER_ADMIN")
      ->capture_default_str();
  why.add_flag("--json", typed.json, "As the controller says it");
  auto& list = add(app, typed, "flows", "list connections, the newest first", flows);
  add_admin(list, typed);
  add_place(list, typed);
  list.add_option("--source", typed.flows.source, "Only of this client's address");
  list.add_option("--limit", typed.flows.limit, "At most so many")->capture_default_str();
  list.add_flag("--json", typed.json, "As the data plane says it");
}

void add_deeds(CLI::App& app, Typed& typed) {
  auto& end = add(app, typed, "kill", "end one connection, as listed by flows", kill);
  add_admin(end, typed);
  end.add_option("ID", typed.id, "Its id")->required();
  auto& drained = add(app, typed, "drain", "send nothing new to a backend or service", drain_named);
  add_admin(drained, typed);
  add_place(drained, typed);
  drained.add_flag("--lift", typed.lift, "End the drain of exactly this");
  drained.add_flag("--all", typed.flows.all, "Of everything, where nothing is named");
  drained.add_flag("--json", typed.json, "As the data plane says it");
  auto& check = add(app, typed, "validate", "check a configuration file", [](const Typed& t) {
    std::vector<std::string> arguments{"validate"};
    if (t.show) arguments.push_back("--show");
    arguments.insert(arguments.end(), t.files.begin(), t.files.end());
    return lb::cli::become("empalme-controller", arguments);
  });
  check
      .add_option("FILE", typed.files,
                  "YAML or JSON, '-' for standard input; each is laid over those before it")
      ->required();
  check.add_flag("--show", typed.show, "Print what would be served");
  auto& leave =
      add(app, typed, "uninstall", "take our finalizers and status off every Service", uninstall);
  leave.add_option("--kubeconfig", typed.kubeconfig, "How to reach the cluster")
      ->envname("EMPALME_KUBECONFIG");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Empalme, an L4 load balancer for Kubernetes and for three processes in a file",
               "empalme"};
  app.set_version_flag("--version", std::string("empalme ") + EMPALME_VERSION);
  app.footer(kExamples);
  app.require_subcommand(1);
  Typed typed;
  const char* folder = std::getenv("EMPALME_SOCKET_DIR");
  typed.up.socket_dir = folder != nullptr ? folder : lb::net::default_socket_folder();
  typed.admin = "unix:" + typed.up.socket_dir + "/dataplane.sock";
  typed.controller = "unix:" + typed.up.socket_dir + "/controller.sock";
  add_up(app, typed);
  add_questions(app, typed);
  add_deeds(app, typed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? 0 : 2;
  }
  return typed.run();
}
