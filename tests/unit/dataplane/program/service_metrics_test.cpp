// Series by service and backend, histograms, and the bound on their number.
#include "dataplane/service_metrics.hpp"

#include <gmock/gmock.h>

namespace lb::dataplane {
namespace {

using testing::HasSubstr;
using testing::Not;

proxy::PortTotals port(size_t backends = 1) {
  proxy::PortTotals out;
  out.key = "file/web";
  out.port = 80;
  out.accepted = 7;
  for (size_t i = 0; i < backends; ++i) {
    proxy::BackendTotals backend;
    backend.backend = {IpAddress::v4(0x0a000001 + uint32_t(i)), 8080};
    backend.refused = 2;
    backend.tls = 3;
    out.backends.push_back(backend);
  }
  return out;
}

proxy::PortTotals port_of(const std::string& key, size_t backends) {
  proxy::PortTotals out = port(backends);
  out.key = key;
  return out;
}

std::string text(const std::vector<proxy::PortTotals>& ports, SeriesLimits limits = {}) {
  std::vector<ops::Metric> out;
  add_service_metrics(out, ports, limits);
  return ops::metrics_text(out);
}

size_t times_in(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ServiceMetrics, NameTheServiceItsPortAndProtocol) {
  EXPECT_THAT(text({port()}),
              HasSubstr("empalme_service_connections_accepted_total{service=\"file/web\","
                        "port=\"80\",protocol=\"tcp\"} 7\n"));
}

TEST(ServiceMetrics, SayThatAPortIsInPanic) {
  auto one = port();
  EXPECT_THAT(text({one}), HasSubstr("empalme_service_panic{service=\"file/web\",port=\"80\","
                                     "protocol=\"tcp\"} 0\n"));
  one.panic = 1;
  EXPECT_THAT(text({one}), HasSubstr("protocol=\"tcp\"} 1\n"));
}

TEST(ServiceMetrics, CountConnectionsByGroupWhereThereAreGroups) {
  auto one = port();
  EXPECT_THAT(text({one}), Not(HasSubstr("empalme_group_")));
  one.groups = {{"blue", 90, 9, 2}, {"green", 10, 1, 0}};
  EXPECT_THAT(text({one}), HasSubstr("empalme_group_connections_total{service=\"file/web\","
                                     "port=\"80\",protocol=\"tcp\",group=\"green\"} 10\n"));
  EXPECT_THAT(text({one}), HasSubstr("empalme_group_weight{service=\"file/web\",port=\"80\","
                                     "protocol=\"tcp\",group=\"blue\"} 9\n"));
  EXPECT_THAT(text({one}), HasSubstr("empalme_group_usable_backends{service=\"file/web\","
                                     "port=\"80\",protocol=\"tcp\",group=\"green\"} 0\n"));
}

TEST(ServiceMetrics, NameTheBackendAndTheCause) {
  EXPECT_THAT(text({port()}), HasSubstr("backend=\"10.0.0.1:8080\",cause=\"refused\"} 2\n"));
  EXPECT_THAT(text({port()}), HasSubstr("backend=\"10.0.0.1:8080\",cause=\"tls\"} 3\n"));
  EXPECT_THAT(text({port()}), HasSubstr("empalme_backend_up{"));
}

TEST(ServiceMetrics, SayWhyABackendIsDownForAsLongAsItIs) {
  auto one = port(3);
  EXPECT_THAT(text({one}), Not(HasSubstr("empalme_backend_down")));
  one.backends[1].why_down = "HttpStatus";
  one.backends[2].why_down = "Refused";
  const std::string shown = text({one}, {.backends = 2});
  EXPECT_EQ(times_in(shown, "empalme_backend_down{"), 1u) << "as bounded as the others";
  EXPECT_THAT(shown, HasSubstr("empalme_backend_down{service=\"file/web\",port=\"80\","
                               "protocol=\"tcp\",backend=\"10.0.0.2:8080\","
                               "reason=\"HttpStatus\"} 1\n"));
}

TEST(ServiceMetrics, CountHowOftenACheckChangedItsMind) {
  auto one = port();
  one.backends[0].turned_up = 3;
  one.backends[0].turned_down = 4;
  const std::string shown = text({one});
  EXPECT_THAT(shown, HasSubstr("empalme_backend_health_transitions_total{"));
  EXPECT_THAT(shown, HasSubstr("to=\"up\"} 3\n"));
  EXPECT_THAT(shown, HasSubstr("to=\"down\"} 4\n"));
}

TEST(ServiceMetrics, CountDrainsAndWhatTheyEnded) {
  auto one = port();
  one.drains = 5;
  one.drain_resets = 6;
  const std::string shown = text({one});
  EXPECT_THAT(shown, HasSubstr("empalme_service_drains_total{service=\"file/web\",port=\"80\","
                               "protocol=\"tcp\"} 5\n"));
  EXPECT_THAT(shown, HasSubstr("empalme_service_drain_resets_total{service=\"file/web\","
                               "port=\"80\",protocol=\"tcp\"} 6\n"));
}

void count(proxy::PortTotals& port, proxy::EndReason how, uint64_t times) {
  port.ended[static_cast<size_t>(how)] = times;
}
void count(proxy::PortTotals& port, proxy::Refusal rule, uint64_t times) {
  port.refused[static_cast<size_t>(rule)] = times;
}

TEST(ServiceMetrics, CountEndsByHow) {
  auto one = port();
  count(one, proxy::EndReason::kBackendReset, 3);
  const std::string shown = text({one});
  const std::string ends =
      "empalme_service_connections_ended_total{service=\"file/web\",port=\"80\",protocol=\"tcp\",";
  EXPECT_THAT(shown, HasSubstr(ends + "how=\"backend_reset\"} 3\n"));
  EXPECT_EQ(times_in(shown, ends), 1u) << "a series from the first on";
}

TEST(ServiceMetrics, CountRefusalsByTheRule) {
  auto one = port();
  count(one, proxy::Refusal::kSourceRange, 3);
  count(one, proxy::Refusal::kConnections, 4);
  count(one, proxy::Refusal::kSource, 5);
  count(one, proxy::Refusal::kRate, 6);
  count(one, proxy::Refusal::kProxyHeader, 7);
  const std::string shown = text({one});
  const std::string labels = "{service=\"file/web\",port=\"80\",protocol=\"tcp\"";
  EXPECT_THAT(shown, HasSubstr("empalme_service_sources_refused_total" + labels + "} 3\n"));
  const std::string limits = "empalme_service_limit_refused_total" + labels;
  EXPECT_THAT(shown, HasSubstr(limits + ",limit=\"connections\"} 4\n"));
  EXPECT_THAT(shown, HasSubstr(limits + ",limit=\"source\"} 5\n"));
  EXPECT_THAT(shown, HasSubstr(limits + ",limit=\"rate\"} 6\n"));
  EXPECT_THAT(text({port()}), Not(HasSubstr(limits))) << "a series from the first on";
  EXPECT_THAT(shown, HasSubstr("empalme_service_proxy_headers_refused_total" + labels + "} 7\n"));
}

TEST(ServiceMetrics, BucketsHoldThoseBelowThem) {
  auto one = port();
  one.connect.counts = {3, 1, 0, 0, 0, 0, 0, 0, 2};
  one.connect.sum_ms = 9000;
  const std::string shown = text({one});
  EXPECT_THAT(shown, HasSubstr("le=\"0.001\"} 3\n"));
  EXPECT_THAT(shown, HasSubstr("le=\"0.005\"} 4\n"));
  EXPECT_THAT(shown, HasSubstr("le=\"2.5\"} 4\n"));
  EXPECT_THAT(shown, HasSubstr("le=\"+Inf\"} 6\n"));
  EXPECT_THAT(shown, HasSubstr("empalme_service_connect_seconds_count{service=\"file/web\","
                               "port=\"80\",protocol=\"tcp\"} 6\n"));
  EXPECT_THAT(shown, HasSubstr("protocol=\"tcp\"} 9\n"));
}

TEST(ServiceMetrics, AreBoundedAndSayHowManyAreLeftOut) {
  auto one = port(5);
  one.groups = {{"blue", 1, 1, 1}, {"green", 1, 1, 1}, {"red", 1, 1, 1}};
  const std::string shown = text({one}, {.backends = 2, .groups = 1});
  EXPECT_THAT(shown, HasSubstr("10.0.0.2:8080"));
  EXPECT_THAT(shown, Not(HasSubstr("10.0.0.3:8080")));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_backends_without_series 3\n"));
  EXPECT_THAT(shown, HasSubstr("group=\"blue\""));
  EXPECT_THAT(shown, Not(HasSubstr("group=\"green\"")));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_groups_without_series 2\n"));
}

TEST(ServiceMetrics, GroupsAreDealtOutByServiceAsBackendsAre) {
  auto many = port_of("file/a", 1), few = port_of("file/b", 1);
  for (int i = 0; i < 64; ++i) many.groups.push_back({"g" + std::to_string(i), 1, 1, 1});
  few.groups = {{"blue", 1, 1, 1}, {"green", 1, 1, 1}};
  const std::string shown = text({many, few}, {.groups = 6});
  EXPECT_EQ(times_in(shown, "empalme_group_weight{service=\"file/a\""), 4u);
  EXPECT_EQ(times_in(shown, "empalme_group_weight{service=\"file/b\""), 2u);
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_groups_without_series 60\n"));
}

size_t backends_shown(const std::string& text, const std::string& key) {
  return times_in(text, "empalme_backend_up{service=\"" + key + "\"");
}

TEST(ServiceMetrics, OneServiceDoesNotTakeTheSeriesOfTheOthers) {
  const std::string shown =
      text({port_of("file/a", 50), port_of("file/b", 3), port_of("file/c", 9)}, {.backends = 13});
  EXPECT_EQ(backends_shown(shown, "file/a"), 5u);
  EXPECT_EQ(backends_shown(shown, "file/b"), 3u);
  EXPECT_EQ(backends_shown(shown, "file/c"), 5u);
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_backends_without_series 49\n"));
}

TEST(ServiceMetrics, WhatIsNotWantedByOneIsTheOthers) {
  const std::string shown = text({port_of("file/a", 50), port_of("file/b", 1)}, {.backends = 20});
  EXPECT_EQ(backends_shown(shown, "file/a"), 19u);
}

TEST(ServiceMetrics, PortsAreBoundedByServiceToo) {
  std::vector<proxy::PortTotals> ports;
  for (uint16_t i = 0; i < 8; ++i) {
    ports.push_back(port_of("file/a", 1));
    ports.back().port = uint16_t(80 + i);
  }
  ports.push_back(port_of("file/b", 1));
  const std::string shown = text(ports, {.ports = 4});
  EXPECT_THAT(shown, HasSubstr("empalme_service_panic{service=\"file/b\""));
  EXPECT_THAT(shown, HasSubstr("empalme_service_panic{service=\"file/a\",port=\"82\""));
  EXPECT_THAT(shown, Not(HasSubstr("port=\"83\"")));
  EXPECT_EQ(backends_shown(shown, "file/a"), 3u);
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_ports_without_series 5\n"));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_backends_without_series 5\n"));
}

TEST(ServiceMetrics, NothingServedIsNoSeries) { EXPECT_EQ(text({}), ""); }

}  // namespace
}  // namespace lb::dataplane
