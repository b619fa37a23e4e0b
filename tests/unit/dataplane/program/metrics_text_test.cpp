// Names, types and values as Prometheus reads them.
#include "dataplane/metrics_text.hpp"

#include <gmock/gmock.h>

namespace lb::dataplane {
namespace {

using testing::HasSubstr;

TEST(MetricsText, WritesHelpTypeAndValue) {
  proxy::DataPathCounters counters;
  counters.accepted = 7;
  counters.active = 2;
  const std::string text = metrics_text(counters);
  EXPECT_THAT(text, HasSubstr("# TYPE empalme_dataplane_connections_accepted_total counter\n"
                              "empalme_dataplane_connections_accepted_total 7\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE empalme_dataplane_connections gauge\n"
                              "empalme_dataplane_connections 2\n"));
}

}  // namespace
}  // namespace lb::dataplane
