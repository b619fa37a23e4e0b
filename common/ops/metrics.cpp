#include "common/ops/metrics.hpp"

#include <limits>

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

prometheus::ClientMetric to_client_metric(const HistogramSample& sample) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) out.label.push_back({name, value});
  out.histogram.sample_count = sample.count;
  out.histogram.sample_sum = sample.sum;
  for (const auto& [bound, count] : sample.buckets) {
    prometheus::ClientMetric::Bucket bucket;
    bucket.cumulative_count = count;
    bucket.upper_bound = bound;
    out.histogram.bucket.push_back(bucket);
  }
  prometheus::ClientMetric::Bucket all;
  all.cumulative_count = sample.count;
  all.upper_bound = std::numeric_limits<double>::infinity();
  out.histogram.bucket.push_back(all);
  return out;
}

prometheus::MetricType to_type(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::MetricFamily to_family(const Metric& metric) {
  prometheus::MetricFamily out;
  out.name = metric.name;
  out.help = metric.help;
  out.type = to_type(metric.type);
  for (const auto& sample : metric.samples) {
    out.metric.push_back(to_client_metric(sample, metric.type));
  }
  for (const auto& sample : metric.histograms) out.metric.push_back(to_client_metric(sample));
  return out;
}

}  // namespace

std::string metrics_text(const std::vector<Metric>& metrics) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& metric : metrics) families.push_back(to_family(metric));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace lb::ops
