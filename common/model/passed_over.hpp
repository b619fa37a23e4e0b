// What a lenient reader went past, counted; the first few are kept for a person to read.
// A plain value; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/model/result.hpp"

namespace lb {

struct PassedOver {
  static constexpr size_t kMostKept = 16;

  uint64_t count = 0;
  std::vector<Error> first;

  void add(Error error) {
    ++count;
    if (first.size() < kMostKept) first.push_back(std::move(error));
  }
};

}  // namespace lb
