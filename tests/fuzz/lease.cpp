// The Lease that controllers elect their leader by, as any program may have written it.
#include "controller/core/lease.hpp"
#include "common/model/json.hpp"

#include "tests/fuzz/target.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lb::plan;
  using lb::fuzz::must;
  const auto text = lb::fuzz::as_text(data, size);
  unix_seconds(text);
  const auto lease = decode_lease(text);
  if (!lease) {
    must(lease.error().code == "InvalidObject", "a refusal has its code");
    return 0;
  }
  must(epoch_of(*lease) < uint64_t{1} << 53, "an epoch is a number that JSON keeps");
  auto body =
      nlohmann::json::parse(encode_lease("ns", "name", lease->resource_version, lease->record));
  body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z";  // the API server adds it
  const auto again = decode_lease(body.dump());
  must(again.ok(), "a Lease that we write can be read");
  must(again->record == lease->record && again->resource_version == lease->resource_version,
       "a Lease that we write means the same");
  return 0;
}
