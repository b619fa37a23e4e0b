// What the other process says during a handoff: each document, and the length ahead of it.
#include "dataplane/handoff/handoff_message.hpp"

#include <algorithm>

#include "dataplane/carried_counts.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb::handoff;
using lb::fuzz::must;

template <class T>
std::string text_of(const T& value) {
  return encode(value);
}
std::string text_of(const OfferDocument& offer) {
  const auto text = encode(offer);
  must(text.ok(), "an offer that was read can be made");
  return *text;
}

// Texts for people are cut when they are written, so it is the second writing that stays.
template <class Decode>
void check(std::string_view text, Decode decode) {
  const auto first = decode(text);
  if (!first) {
    must(first.error().code.starts_with("Handoff"), "a refusal has a code of its own");
    return;
  }
  const auto second = decode(text_of(*first));
  must(second.ok(), "what we write can be read");
  const auto third = decode(text_of(*second));
  must(third.ok() && *third == *second, "what we write means the same");
}

// What the other process has counted is taken over, whatever the names are.
void check_counters(const Counters& told) {
  lb::dataplane::CarriedCounts carried;
  carried.take(told);
  Counters own;
  carried.encode_own(own, {});
  const auto counted = own.find("handoffs|taken");
  const uint64_t next = carried.taken() + 1;  // 0, after the last number there is, is not told
  must(next == (counted == own.end() ? 0 : counted->second), "handoffs are counted on");
  carried.keep_only({});
  must(carried.with(std::vector<lb::proxy::PortTotals>{}).empty(), "no port comes of counts alone");
  (void)lb::dataplane::decode_down(told);
  (void)lb::dataplane::decode_drained(told);
}

void check_offer(std::string_view text) {
  const auto offer = decode_offer(text);
  if (!offer) return;
  const auto again = decode_offer(text_of(*offer));
  must(again.ok() && again->listeners == offer->listeners && again->state == offer->state &&
           again->counters == offer->counters && again->lock == offer->lock,
       "an offer loses nothing");
  check_counters(offer->counters);
}

void check_length(const uint8_t* data, size_t size) {
  LengthBytes bytes{};
  std::copy_n(data, std::min(size, bytes.size()), bytes.begin());
  const auto length = decode_length(bytes, kMaxOfferBytes);
  if (!length) return;
  must(*length > 0 && *length <= kMaxOfferBytes, "a length has its limits");
  must(encode_length(*length) == bytes, "a length is written as it was read");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = lb::fuzz::as_text(data, size);
  check(text, decode_hello);
  check(text, decode_offer);
  check(text, decode_serving);
  check(text, decode_released);
  check_offer(text);
  check_length(data, size);
  return 0;
}
