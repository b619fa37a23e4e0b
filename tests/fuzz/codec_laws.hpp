// The laws that every strict codec of the wire keeps, whatever bytes arrive. Pure.
//
// What is refused is refused with an answer: an HTTP status and a JSON body. What is taken comes
// back equal after encoding, and the encoding of that is the same bytes again.
#pragma once

#include <string>

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "tests/fuzz/target.hpp"

namespace lb::fuzz {

inline void check_refusal(const Error& error) {
  const int status = http_status(error);
  must(status == 400 || status == 413 || status == 422, "a refusal has a status of its own");
  must(nlohmann::json::accept(encode_error(error)), "a refusal is answered in valid JSON");
}

template <class Decode, class Encode>
void check_codec(std::string_view text, Decode decode, Encode encode) {
  const auto first = decode(text);
  if (!first) return check_refusal(first.error());
  const std::string bytes = encode(*first);
  const auto second = decode(bytes);
  must(second.ok(), "what we write can be read");
  must(*second == *first, "what we write means the same");
  must(encode(*second) == bytes, "equal values are equal bytes");
}

}  // namespace lb::fuzz
