// The body of PUT /v1/certificates/NAME: taken, or refused with a reason; what is told of it has
// nothing of its key.
#include "dataplane/certificates_json.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using lb::fuzz::must;

constexpr int64_t kNow = 1'800'000'000;

void check(const lb::Error& error) {
  must(!error.code.empty() && !error.message.empty(), "a refusal says why");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = lb::dataplane::decode_certificate(lb::fuzz::as_text(data, size));
  if (!text) {
    check(text.error());
    return 0;
  }
  const auto read = lb::net::ServerCertificate::read(*text, kNow);
  if (!read) {
    check(read.error());
    return 0;
  }
  must((*read)->has_key() == !text->key.empty(), "a key that is given is read");
  const std::string told = lb::dataplane::encode_certificate("a", **read);
  must(told.find("PRIVATE KEY") == std::string::npos, "no key is told");
  return 0;
}
