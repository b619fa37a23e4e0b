// The body of POST and DELETE /v1/drain, and the answer, from which it can be read again.
#include "dataplane/drains.hpp"

#include "tests/fuzz/codec_laws.hpp"

namespace {

using namespace lb;
using lb::fuzz::must;

// The answer's entry without what is no part of the request.
std::string as_request(const std::string& answer) {
  auto drain = nlohmann::json::parse(answer).at("drains").at(0);
  drain.erase("connections");
  return drain.dump();
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto drain = dataplane::decode_drain(fuzz::as_text(data, size));
  if (!drain) {
    fuzz::check_refusal(drain.error());
    return 0;
  }
  const auto again = dataplane::decode_drain(as_request(dataplane::encode_drains({*drain}, {})));
  must(again.ok() && again->service == drain->service && again->backend == drain->backend,
       "the answer names what was drained");
  return 0;
}
