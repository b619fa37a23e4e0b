// The whole controller in one process, as Program joins it, between an API server and a data plane
// that are both fakes behind real sockets. Its timeouts are short, so that faults are over soon.
#pragma once

#include <memory>
#include <string>

#include "controller/fleet.hpp"
#include "controller/kube/credentials.hpp"
#include "controller/kube/http_client_cpprest.hpp"
#include "controller/reconciler.hpp"
#include "controller/sources/kubernetes_source.hpp"
#include "tests/support/fake_api_server.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {

class ControllerRig {
 public:
  ControllerRig(asio::io_context& io, const std::string& server, const std::string& token_file)
      : io_(io),
        dataplane(io),
        credentials_(std::make_shared<kube::Credentials>(access(server, token_file))),
        make_client_([c = credentials_] {
          return kube::make_cpprest_client(
              c, {.request = std::chrono::seconds(2), .idle = std::chrono::seconds(2)});
        }),
        refused_([c = credentials_] { c->refused(); }),
        writer({make_client_, refused_}),
        reconciler(io, options(), &writer),
        fleet(io,
              {.coalesce = std::chrono::milliseconds(2),
               .poll = std::chrono::seconds(300),
               .silent_after = std::chrono::seconds(600),
               .lost_after = std::chrono::seconds(600)},
              reconciler),
        source(io, {make_client_, refused_, /*watch_list=*/true}, reconciler) {
    reconciler.set_fleet(fleet);
    fleet.list({{"one", dataplane.address()}});
    writer.start();
    reconciler.start();
    fleet.start();
    source.start();
  }
  ~ControllerRig() {
    source.stop();
    writer.stop();
    fleet.stop();
    reconciler.stop();
    // The io_context outlives us: nothing of ours may be left in it.
    io_.restart();
    for (int i = 0; i < 100 && io_.poll() > 0; ++i) {
    }
  }

  const ServiceList& published() const { return dataplane.held.services; }
  const Service* published(const std::string& key) const {
    for (const auto& service : published()) {
      if (service.key == key) return &service;
    }
    return nullptr;
  }
  bool publishes(const std::string& key, const std::string& backend) const {
    const Service* service = published(key);
    if (service == nullptr || service->ports.empty()) return false;
    for (const auto& each : service->ports[0].backends) {
      if (each.address.to_string() == backend) return true;
    }
    return false;
  }
  uint64_t errors() const {
    uint64_t out = 0;
    for (const auto& each : source.reflectors()) out += each->counters().errors;
    return out;
  }

 private:
  asio::io_context& io_;

 public:
  FakeDataplane dataplane;

 private:
  static kube::ClusterAccess access(const std::string& server, const std::string& token_file) {
    kube::ClusterAccess out;
    out.server = server;
    out.token.file = token_file;
    return out;
  }
  static Reconciler::Options options() {
    Reconciler::Options out;
    out.pools = {plan::pool("192.0.2.10-192.0.2.20")};
    out.sources = {"kubernetes/"};
    out.patch_retry = std::chrono::seconds(1);
    return out;
  }

  std::shared_ptr<kube::Credentials> credentials_;
  kube::HttpClientFactory make_client_;
  std::function<void()> refused_;

 public:
  kube::ApiWriter writer;
  Reconciler reconciler;
  Fleet fleet;
  sources::KubernetesSource source;
};

}  // namespace lb::controller
