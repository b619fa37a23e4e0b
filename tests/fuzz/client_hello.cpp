// The first message of a TLS client: a verdict stands, and records make no difference.
#include "dataplane/proxy/client_hello.hpp"

#include "tests/fuzz/target.hpp"
#include "tests/support/client_hello.hpp"

namespace {

using namespace lb::proxy;
using lb::fuzz::must;
using Verdict = ClientHello::Verdict;

ClientHello parse(std::string_view bytes) {
  return parse_client_hello({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

bool same(const ClientHello& a, const ClientHello& b) {
  return a.verdict == b.verdict && a.server_name == b.server_name;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = parse(bytes);
  must(whole.verdict == Verdict::kDone || whole.server_name.empty(), "only who is done is named");
  for (size_t i = 0; i < std::min<size_t>(size, 256); ++i) {
    const auto before = parse(bytes.substr(0, i));
    must(before.verdict == Verdict::kNeedMore || same(before, whole), "a verdict does not change");
  }
  if (size == 0 || size > 2000) return 0;
  const auto body = lb::test::message(std::string(bytes.substr(1)));
  const auto one = parse(lb::test::records(body));
  must(one.verdict != Verdict::kNeedMore, "a whole message is enough");
  must(same(one, parse(lb::test::records(body, size_t(data[0]) + 8))), "records do not matter");
  return 0;
}
