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
    out.backends.push_back(backend);
  }
  return out;
}

std::string text(const std::vector<proxy::PortTotals>& ports, size_t limit = kMaxBackendSeries) {
  std::vector<ops::Metric> out;
  add_service_metrics(out, ports, limit);
  return ops::metrics_text(out);
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

TEST(ServiceMetrics, NameTheBackendAndTheCause) {
  EXPECT_THAT(text({port()}), HasSubstr("backend=\"10.0.0.1:8080\",cause=\"refused\"} 2\n"));
  EXPECT_THAT(text({port()}), HasSubstr("empalme_backend_up{"));
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
  const std::string shown = text({port(5)}, 2);
  EXPECT_THAT(shown, HasSubstr("10.0.0.2:8080"));
  EXPECT_THAT(shown, Not(HasSubstr("10.0.0.3:8080")));
  EXPECT_THAT(shown, HasSubstr("empalme_dataplane_backends_without_series 3\n"));
}

TEST(ServiceMetrics, NothingServedIsNoSeries) { EXPECT_EQ(text({}), ""); }

}  // namespace
}  // namespace lb::dataplane
