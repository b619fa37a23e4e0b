// What a data plane answers to the controller.
#include "tests/fuzz/codec_laws.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lb::fuzz::check_codec(lb::fuzz::as_text(data, size), lb::decode_apply_result,
                        lb::encode_apply_result);
  return 0;
}
