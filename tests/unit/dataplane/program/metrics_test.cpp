// Names, types and values as Prometheus reads them.
#include "dataplane/metrics.hpp"

#include <gmock/gmock.h>

#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::HasSubstr;

std::string text(void (*add)(Metrics&)) {
  Metrics out;
  add(out);
  return ops::metrics_text(out);
}

TEST(DataplaneMetrics, CountsConnections) {
  const auto shown = text([](Metrics& out) {
    proxy::DataPathCounters counters;
    counters.accepted = 7;
    counters.active = 2;
    add_path_metrics(out, counters);
  });
  EXPECT_THAT(shown, HasSubstr("# TYPE empalme_dataplane_connections_accepted_total counter\n"
                               "empalme_dataplane_connections_accepted_total 7\n"));
  EXPECT_THAT(shown, HasSubstr("# TYPE empalme_dataplane_connections gauge\n"
                               "empalme_dataplane_connections 2\n"));
}

TEST(DataplaneMetrics, TellsOverflowsOnlyWhereTheKernelDoes) {
  EXPECT_THAT(text([](Metrics& out) { add_queue_metrics(out, 3); }),
              HasSubstr("empalme_dataplane_listen_overflows_total 3\n"));
  EXPECT_EQ(text([](Metrics& out) { add_queue_metrics(out, std::nullopt); }), "");
}

TEST(DataplaneMetrics, NamesTheReasonOfRefusedChanges) {
  FakePath path;
  Coordinator coordinator(path, {});
  Metrics out;
  add_state_metrics(out, coordinator, {{"Schema", 3}});
  EXPECT_THAT(ops::metrics_text(out),
              HasSubstr("empalme_dataplane_changes_refused_total{reason=\"Schema\"} 3\n"));
}

TEST(DataplaneMetrics, TellsItsServersApart) {
  const auto shown = text([](Metrics& out) {
    net::HttpServerCounters admin, observe;
    admin.requests = 1;
    observe.requests = 2;
    add_server_metrics(out, {{"admin", admin}, {"observe", observe}});
  });
  EXPECT_THAT(shown, HasSubstr("http_requests_total{server=\"admin\"} 1\n"));
  EXPECT_THAT(shown, HasSubstr("http_requests_total{server=\"observe\"} 2\n"));
}

TEST(DataplaneMetrics, CountsAnnouncements) {
  const auto shown = text([](Metrics& out) { add_announce_metrics(out, {.conflicts = 4}, 2); });
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_address_conflicts_total 4\n"));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_addresses 2\n"));
}

}  // namespace
}  // namespace lb::dataplane
