// The text that Prometheus scrapes.
#include "common/ops/metrics.hpp"

#include <gmock/gmock.h>

namespace lb::ops {
namespace {

using testing::HasSubstr;

TEST(MetricsText, WritesHelpTypeAndSamples) {
  const auto text = metrics_text({{"a_total", "What.", MetricType::kCounter, {{7}}},
                                  {"b", "That.", MetricType::kGauge, {{2, {{"x", "y"}}}}}});
  EXPECT_THAT(text, HasSubstr("# HELP a_total What.\n# TYPE a_total counter\na_total 7\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE b gauge\nb{x=\"y\"} 2\n"));
}

TEST(MetricsText, EscapesLabelValues) {
  const auto text = metrics_text({{"a", "h", MetricType::kGauge, {{1, {{"x", "\"\n\\"}}}}}});
  EXPECT_THAT(text, HasSubstr("a{x=\"\\\"\\n\\\\\"} 1\n"));
}

}  // namespace
}  // namespace lb::ops
