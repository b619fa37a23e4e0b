// A saved state, perhaps of a later version: what is served of it is a state that the wire takes.
#include "common/model/saved_state.hpp"

#include "tests/fuzz/codec_laws.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lb::fuzz::must;
  const auto text = lb::fuzz::as_text(data, size);
  const auto saved = lb::decode_saved_state(text);
  const auto strict = lb::decode_state(text);
  if (!saved) {
    must(!strict.ok(), "what the wire takes can be read where it was saved");
    lb::fuzz::check_refusal(saved.error());
    return 0;
  }
  if (saved->passed_over.count == 0) {
    must(strict.ok() && *strict == saved->state, "what is known throughout is the same state");
  }
  must(saved->left_out.count <= saved->passed_over.count, "what is left out is passed over too");
  const auto again = lb::decode_saved_state(lb::encode_state(saved->state));
  must(again.ok() && again->passed_over.count == 0 && again->state == saved->state,
       "what is served of it can be saved and read again");
  return 0;
}
