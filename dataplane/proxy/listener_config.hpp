// What a worker needs to know to serve one listener: an immutable value shared by all workers,
// replaced whole when the desired state changes.
//
// BackendRecord and ListenerCounts are the only parts that workers share and write; both are
// atomic and outlive configurations.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/balance/round_robin.hpp"

namespace lb::proxy {

struct BackendRecord {
  explicit BackendRecord(Endpoint where) : endpoint(where) {}
  const Endpoint endpoint;
  std::atomic<uint64_t> connections{0};
};

struct ListenerConfig {
  Endpoint address;
  Policy policy;
  std::vector<balance::Candidate> candidates;  // one per record, same order
  std::vector<std::shared_ptr<BackendRecord>> records;
};

}  // namespace lb::proxy
