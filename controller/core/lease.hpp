// coordination.k8s.io/v1 Lease as a leader election uses it, and its text. Pure; any thread.
//
// Decoding is tolerant, as of every object of the cluster; a Lease that another program wrote in a
// shape we cannot read is an Error{"InvalidObject"}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/model/result.hpp"

namespace lb::plan {

struct LeaseRecord {
  std::string holder;  // empty: given up
  uint32_t duration_s = 0;
  uint64_t transitions = 0;
  std::string acquired;  // RFC 3339 with microseconds, as the next one
  std::string renewed;

  bool operator==(const LeaseRecord&) const = default;
};

struct Lease {
  std::string resource_version;
  uint64_t created = 0;  // unix seconds
  LeaseRecord record;

  bool operator==(const Lease&) const = default;
};

Result<Lease> decode_lease(std::string_view json);

// The body of a POST (no resource version) or of a PUT.
std::string encode_lease(const std::string& ns, const std::string& name,
                         const std::string& resource_version, const LeaseRecord& record);

// The epoch of the leadership that this Lease stands for: it grows with every change of hands, also
// when the Lease was deleted and made anew.
uint64_t epoch_of(const Lease& lease);

// Seconds since 1970 of an RFC 3339 time in UTC; nullopt: it is none.
std::optional<uint64_t> unix_seconds(std::string_view rfc3339);

}  // namespace lb::plan
