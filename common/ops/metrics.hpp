// Prometheus' text format for values that somebody else counts.
//
// Programs keep plain counters with one writer each and hand them over when scraped; nothing here
// is on a byte path. Any thread. Names follow Prometheus' conventions (counters end in _total).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lb::ops {

enum class MetricType : uint8_t { kCounter, kGauge, kHistogram };

struct Sample {
  double value = 0;
  std::vector<std::pair<std::string, std::string>> labels = {};
};

struct HistogramSample {
  std::vector<std::pair<double, uint64_t>> buckets = {};  // upper bound, and how many up to it
  uint64_t count = 0;
  double sum = 0;
  std::vector<std::pair<std::string, std::string>> labels = {};
};

struct Metric {
  std::string name;
  std::string help;
  MetricType type = MetricType::kCounter;
  std::vector<Sample> samples;
  std::vector<HistogramSample> histograms = {};  // of kHistogram, instead of samples
};

std::string metrics_text(const std::vector<Metric>& metrics);

}  // namespace lb::ops
