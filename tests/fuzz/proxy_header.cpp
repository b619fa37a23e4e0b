// The PROXY header of a connection, beside a second parser: both must say the same of all bytes.
#include "dataplane/proxy/proxy_header.hpp"

#include <algorithm>

#include "tests/fuzz/target.hpp"
#include "tests/support/naive_proxy_header.hpp"

namespace {

using namespace lb::proxy;
using lb::fuzz::must;
using Verdict = ParseResult::Verdict;

ParseResult parse(std::string_view bytes) {
  return parse_proxy_header({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

bool same(const ParseResult& a, const ParseResult& b) { return test::told(a) == test::told(b); }

// The connection is read piece by piece: a verdict stands, whatever comes after it.
void check_prefix(std::string_view bytes, size_t size, const ParseResult& whole) {
  const auto before = parse(bytes.substr(0, size));
  must(before.verdict == Verdict::kNeedMore || same(before, whole), "a verdict does not change");
  if (before.verdict != Verdict::kNeedMore) return;
  must(before.missing > 0, "a reader that needs more says how much");
  if (whole.verdict != Verdict::kDone) return;
  must(size + before.missing <= whole.consumed, "no more is asked for than the header has");
}

void check_encoded(const std::string& bytes, const ParseResult& meaning) {
  const auto again = parse(bytes);
  must(again.verdict == Verdict::kDone && again.consumed == bytes.size(), "our header is read");
  must(again.client == meaning.client && again.destination == meaning.destination,
       "our header means the same");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = lb::fuzz::as_text(data, size);
  const auto whole = parse(bytes);
  must(test::told(whole) == test::naive_verdict(std::string(bytes)), "two parsers agree");
  for (size_t i = 0; i < std::min<size_t>(size, 40); ++i) check_prefix(bytes, i, whole);
  for (const size_t i : {size / 2, size * 3 / 4, size - std::min<size_t>(size, 1)}) {
    check_prefix(bytes, i, whole);
  }
  if (whole.verdict != Verdict::kDone) return 0;
  must(whole.consumed <= size && whole.consumed <= kMaxProxyV2, "a header has its limits");
  must(same(parse(bytes.substr(0, whole.consumed)), whole), "what follows does not matter");
  if (!whole.client) return 0;
  check_encoded(encode_proxy_v2(*whole.client, *whole.destination, *whole.protocol), whole);
  if (whole.client->address.family() == whole.destination->address.family()) {
    check_encoded(encode_proxy_v1(*whole.client, *whole.destination), whole);
  }
  return 0;
}
