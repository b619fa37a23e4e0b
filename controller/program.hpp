// The running controller: sources, reconciler, publisher and writer, joined and ended in order.
//
// One object per process, on the main thread, which owns the world while run() lasts.
#pragma once

#include <memory>
#include <vector>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "common/ops/costly_text.hpp"
#include "controller/config.hpp"
#include "controller/core/fleet_members.hpp"
#include "controller/fleet.hpp"
#include "controller/kube/api_errors.hpp"
#include "controller/kube/api_writer.hpp"
#include "controller/kube/credentials.hpp"
#include "controller/kube/http_client.hpp"
#include "controller/kube/lease_keeper.hpp"
#include "controller/kube/secret_keeper.hpp"
#include "controller/pool_reporter.hpp"
#include "controller/reconciler.hpp"
#include "controller/sources/consul_source.hpp"
#include "controller/sources/docker_source.hpp"
#include "controller/sources/file_source.hpp"
#include "controller/sources/kubernetes_source.hpp"
#include "controller/sources/secret_follower.hpp"
#include "controller/sources/source.hpp"

namespace lb::controller {

class Program {
 public:
  explicit Program(Config config) : config_(std::move(config)) {}

  // The exit code: 0 ended by a signal, 1 could not start, 2 --check found a file that is wrong
  // (both said in the log).
  int run();

 private:
  int check() const;
  Status prepare();
  Status make_fleet();
  void list_members();
  void make_secret_keeper();
  void follow(const std::vector<plan::EndpointSliceObject>& slices);
  Status connect_to_cluster();
  void make_sources();
  void make_kubernetes_source();
  Status load_docker_identity();
  void make_docker_source();
  Status load_consul_identity();
  void make_consul_source();
  void make_lease();
  void start();
  void lead(std::optional<uint64_t> epoch);
  void outbid(uint64_t held_epoch);
  Status open_observe();
  Status open_admin();
  net::HttpResponse observe(const net::HttpRequest& request);
  net::HttpResponse readiness() const;
  std::string metrics() const;
  void end();

  Config config_;
  asio::io_context io_{1};
  ops::CostlyText metrics_text_{[this] { return metrics(); }};
  std::shared_ptr<kube::Credentials> credentials_;
  std::shared_ptr<kube::ApiErrors> api_errors_ = std::make_shared<kube::ApiErrors>();
  kube::HttpClientFactory make_client_;
  std::unique_ptr<kube::ApiWriter> writer_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<Fleet> fleet_;
  std::shared_ptr<net::TlsIdentity> docker_identity_;  // towards a daemon over TCP; null: none
  std::shared_ptr<net::TlsIdentity> consul_identity_;  // towards an agent by https; null: none
  std::shared_ptr<net::TlsIdentity> identity_;         // towards data planes over TCP; null: none
  std::unique_ptr<kube::SecretKeeper> secrets_;        // null: certificates come from elsewhere
  plan::FleetMembers discovered_;
  plan::FleetMembers::Members found_;
  std::unique_ptr<kube::LeaseKeeper> lease_;  // null: nobody to share the work with
  bool leading_ = false;
  std::vector<std::unique_ptr<sources::Source>> sources_;
  std::vector<const sources::FileSource*> files_;          // among sources_
  sources::KubernetesSource* kubernetes_ = nullptr;        // one of sources_
  const sources::DockerSource* docker_ = nullptr;          // likewise
  const sources::ConsulSource* consul_ = nullptr;          // likewise
  std::unique_ptr<sources::AddressPoolSource> pools_;      // null where there is no cluster
  std::unique_ptr<sources::SecretFollower> certificates_;  // likewise
  std::unique_ptr<PoolReporter> pool_reporter_;            // likewise
  std::unique_ptr<net::HttpServer> observe_server_;
  std::unique_ptr<net::HttpServer> admin_server_;  // null: its default place could not be had
};

}  // namespace lb::controller
