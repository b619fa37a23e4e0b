// A Secret as the API server, or who stands in for it, tells it.
#include "controller/kube/secret.hpp"

#include "tests/fuzz/target.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lb::fuzz::must;
  const std::string text(lb::fuzz::as_text(data, size));
  const auto secret = lb::kube::secret_from(text);
  if (!secret) {
    must(secret.error().code == "Schema", "a refusal has its code");
    must(secret.error().message == "the answer is no Secret", "a refusal tells nothing of it");
    return 0;
  }
  must(!secret->version.empty(), "a Secret has a version");
  size_t bytes = 0;
  for (const auto& [key, value] : secret->data) bytes += key.size() + value.size();
  must(bytes <= size, "base64 is never shorter than its bytes");
  return 0;
}
