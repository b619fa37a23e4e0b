// Counts what goes wrong between us and the API server, by kind, over everybody who asks it.
//
// A CountingClient stands before another HttpClient and changes nothing. Kinds are few and fixed;
// conflicts, watches that are too old and objects that are not there are among them, and are normal
// now and then. What we cancelled ourselves counts for nothing. Counters are for any thread; a
// client is used as the one behind it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "controller/kube/http_client.hpp"

namespace lb::kube {

class ApiErrors {
 public:
  // In the order of the counters.
  static constexpr std::array<const char*, 12> kKinds = {
      "connect",   "timeout",   "tls",      "broken_off", "invalid",   "unauthorized",
      "forbidden", "not_found", "conflict", "gone",       "throttled", "server"};

  void count(const Result<net::HttpResponse>& answer);
  uint64_t of(size_t kind) const { return counts_[kind]; }

 private:
  std::array<std::atomic<uint64_t>, kKinds.size()> counts_{};
};

// `factory` with every client counting into `errors`.
HttpClientFactory counting(HttpClientFactory factory, std::shared_ptr<ApiErrors> errors);

}  // namespace lb::kube
