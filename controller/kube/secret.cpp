#include "controller/kube/secret.hpp"

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

SecretData data_of(const Json& secret) {
  SecretData out;
  const auto data = secret.find("data");
  if (data == secret.end() || !data->is_object()) return out;
  for (const auto& [key, value] : data->items()) {
    if (!value.is_string()) continue;
    if (auto text = decode_base64(value.get_ref<const std::string&>())) out[key] = *text;
  }
  return out;
}

}  // namespace

Result<SecretObject> secret_from(const std::string& json) {
  const Json secret = Json::parse(json, nullptr, false);
  const auto meta = secret.is_object() ? secret.find("metadata") : secret.end();
  const auto* version =
      secret.is_object() && meta != secret.end() ? text_at(*meta, "resourceVersion") : nullptr;
  if (version == nullptr || version->empty()) return Error{"Schema", "the answer is no Secret"};
  return SecretObject{*version, data_of(secret)};
}

}  // namespace lb::kube
