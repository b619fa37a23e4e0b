// The body of PATCH /v1/state.
#include "tests/fuzz/codec_laws.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lb::fuzz::check_codec(lb::fuzz::as_text(data, size), lb::decode_patch, lb::encode_patch);
  return 0;
}
