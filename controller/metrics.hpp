// What the controller counts, as rows for Prometheus. Names begin empalme_controller_.
#pragma once

#include <vector>

#include "common/net/http_server.hpp"
#include "common/ops/metrics.hpp"
#include "controller/fleet.hpp"
#include "controller/kube/api_errors.hpp"
#include "controller/kube/api_writer.hpp"
#include "controller/kube/lease_keeper.hpp"
#include "controller/kube/reflector.hpp"
#include "controller/kube/secret_keeper.hpp"
#include "controller/pool_reporter.hpp"
#include "controller/reconciler.hpp"
#include "controller/sources/consul_source.hpp"
#include "controller/sources/docker_source.hpp"
#include "controller/sources/file_source.hpp"
#include "controller/sources/secret_follower.hpp"

namespace lb::controller {

using Metrics = std::vector<ops::Metric>;

void add_reconciler_metrics(Metrics& out, const Reconciler& reconciler);
void add_fleet_metrics(Metrics& out, const Fleet& fleet);
void add_lease_metrics(Metrics& out, const kube::LeaseCounters& counters);
void add_certificate_metrics(Metrics& out, const sources::SecretFollower& follower);
void add_secret_metrics(Metrics& out, const kube::SecretCounters& counters,
                        const net::TlsIdentity& identity);
void add_writer_metrics(Metrics& out, const kube::ApiWriterCounters& counters);
void add_api_error_metrics(Metrics& out, const kube::ApiErrors& errors);
void add_server_metrics(Metrics& out, const net::HttpServerCounters& observe);
void add_file_metrics(Metrics& out, const std::vector<const sources::FileSource*>& files);
void add_consul_metrics(Metrics& out, const sources::ConsulSource& consul);
void add_docker_metrics(Metrics& out, const sources::DockerSource& docker);
// Of the reflectors of every source.
using Reflectors = std::vector<std::unique_ptr<kube::Reflector>>;
void add_reflector_metrics(Metrics& out, const std::vector<const Reflectors*>& sources);
// How many addresses each pool has, and how many of them are in which state.
void add_pool_metrics(Metrics& out, const plan::Allocator& allocator);
void add_pool_status_metrics(Metrics& out, const PoolReporterCounters& counters);

}  // namespace lb::controller
