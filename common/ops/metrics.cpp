#include "common/ops/metrics.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace lb::ops {
namespace {

prometheus::ClientMetric to_client_metric(const Sample& sample, MetricType type) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) out.label.push_back({name, value});
  (type == MetricType::kCounter ? out.counter.value : out.gauge.value) = sample.value;
  return out;
}

prometheus::MetricFamily to_family(const Metric& metric) {
  prometheus::MetricFamily out;
  out.name = metric.name;
  out.help = metric.help;
  out.type = metric.type == MetricType::kCounter ? prometheus::MetricType::Counter
                                                 : prometheus::MetricType::Gauge;
  for (const auto& sample : metric.samples) {
    out.metric.push_back(to_client_metric(sample, metric.type));
  }
  return out;
}

}  // namespace

std::string metrics_text(const std::vector<Metric>& metrics) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& metric : metrics) families.push_back(to_family(metric));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace lb::ops
