#include "controller/kube/secret.hpp"

#include <cstring>
#include <utility>

#include "common/model/json.hpp"
#include "controller/kube/base64.hpp"

namespace lb::kube {
namespace {

using Json = nlohmann::json;

const std::string* text_at(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_string() ? found->get_ptr<const std::string*>()
                                                     : nullptr;
}

void wipe(std::string& text) { ::explicit_bzero(text.data(), text.size()); }

// A key is in one place only afterwards.
SecretData data_of(Json& secret) {
  SecretData out;
  const auto data = secret.find("data");
  if (data == secret.end() || !data->is_object()) return out;
  for (auto& [key, value] : data->items()) {
    if (!value.is_string()) continue;
    auto& text = value.get_ref<std::string&>();
    if (auto bytes = decode_base64(text)) out[key] = std::move(*bytes);
    wipe(text);
  }
  return out;
}

}  // namespace

Result<SecretObject> secret_from(const std::string& json) {
  Json secret = Json::parse(json, nullptr, false);
  const auto meta = secret.is_object() ? secret.find("metadata") : secret.end();
  const auto* version =
      secret.is_object() && meta != secret.end() ? text_at(*meta, "resourceVersion") : nullptr;
  if (version == nullptr || version->empty()) return Error{"Schema", "the answer is no Secret"};
  return SecretObject{*version, data_of(secret)};
}

}  // namespace lb::kube
