// Fields: a JSON object of the Kubernetes API and where it is, read tolerantly.
//
// For the decoders of lb_plan only. Unknown fields are ignored, null is absent; a field that is
// read and has the wrong type throws Refused, which decode_fields() turns into an
// Error{"InvalidObject"} with the pointer of that field. Pure; any thread.
#pragma once

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "controller/core/objects.hpp"

namespace lb::plan {

inline constexpr size_t kMaxName = 253;  // RFC 1123

// Thrown by the cursor, caught in decode_fields(): nothing of it leaves a decoder.
struct Refused {
  Error error;
};

// One JSON object and where it is. A missing or null field reads as "not given".
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object_.is_object()) refuse(path_, "an object");
  }

  std::string text(const char* name, std::string fallback = {}) const {
    return optional_text(name).value_or(std::move(fallback));
  }

  std::optional<std::string> optional_text(const char* name) const {
    const nlohmann::json* found = find(name);
    if (!found) return std::nullopt;
    return text_of(*found, at(name));
  }

  // The API server lets no others pass. Keys are made of them, and a key that a data plane refuses
  // would cost every service the document it stands in.
  std::string object_name(const char* name) const {
    std::string out = text(name);
    const auto plain = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
    if (out.size() > kMaxName || !std::ranges::all_of(out, plain)) refuse(at(name), "a name");
    return out;
  }

  std::optional<bool> flag(const char* name) const {
    const nlohmann::json* found = find(name);
    if (!found) return std::nullopt;
    if (!found->is_boolean()) refuse(at(name), "true or false");
    return found->get<bool>();
  }

  std::optional<uint32_t> number(const char* name, uint32_t max) const {
    const nlohmann::json* found = find(name);
    if (!found) return std::nullopt;
    if (!found->is_number_unsigned() || found->get<uint64_t>() > max) {
      refuse(at(name), "a whole number up to " + std::to_string(max));
    }
    return found->get<uint32_t>();
  }

  std::optional<int32_t> whole(const char* name) const {
    const nlohmann::json* found = find(name);
    if (!found) return std::nullopt;
    if (!found->is_number_integer() || found->get<int64_t>() < INT32_MIN ||
        found->get<int64_t>() > INT32_MAX) {
      refuse(at(name), "a whole number of 32 bits");
    }
    return found->get<int32_t>();
  }

  bool given(const char* name) const { return find(name) != nullptr; }

  std::optional<uint16_t> port(const char* name) const {
    const auto value = number(name, UINT16_MAX);
    return value ? std::optional(static_cast<uint16_t>(*value)) : std::nullopt;
  }

  // targetPort is a number or a name.
  std::string number_or_text(const char* name) const {
    const nlohmann::json* found = find(name);
    if (found && found->is_number()) return std::to_string(number(name, UINT16_MAX).value_or(0));
    return text(name);
  }

  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> out;
    each(name, [&](const nlohmann::json& item, const std::string& path) {
      out.push_back(text_of(item, path));
    });
    return out;
  }

  std::map<std::string, std::string> text_map(const char* name) const {
    std::map<std::string, std::string> out;
    const nlohmann::json* found = find(name);
    if (!found) return out;
    if (!found->is_object()) refuse(at(name), "an object");
    for (const auto& [key, value] : found->items()) out[key] = text_of(value, at(name) + "/" + key);
    return out;
  }

  Fields child(const char* name) const {
    static const nlohmann::json kEmpty = nlohmann::json::object();
    const nlohmann::json* found = find(name);
    return {found ? *found : kEmpty, at(name)};
  }

  // Where a value that was read is, for an Error of the reader's own.
  std::string at(const char* name) const { return path_ + "/" + name; }

  [[noreturn]] static void refuse(const std::string& path, const std::string& wanted) {
    throw Refused{{"InvalidObject", (path.empty() ? "/" : path) + " must be " + wanted, path}};
  }

  template <class T, class Decode>
  std::vector<T> list(const char* name, Decode decode) const {
    std::vector<T> out;
    each(name, [&](const nlohmann::json& item, const std::string& path) {
      out.push_back(decode(Fields(item, path)));
    });
    return out;
  }

 private:
  static std::string text_of(const nlohmann::json& value, const std::string& path) {
    if (!value.is_string()) refuse(path, "a string");
    return value.get<std::string>();
  }

  template <class Use>
  void each(const char* name, Use use) const {
    const nlohmann::json* found = find(name);
    if (!found) return;
    if (!found->is_array()) refuse(at(name), "a list");
    size_t index = 0;
    for (const nlohmann::json& item : *found) use(item, at(name) + "/" + std::to_string(index++));
  }

  const nlohmann::json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  const nlohmann::json& object_;
  std::string path_;
};

ObjectMeta read_meta(const Fields& meta);

// Nothing here recurses with the depth of the text: the parser does not, and the shapes are fixed.
template <class T, class Read>
Result<T> decode_fields(std::string_view text, Read read) {
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Error{"InvalidObject", "not valid JSON"};
  try {
    return read(Fields(parsed, ""));
  } catch (const Refused& refused) {
    return refused.error;
  }
}

}  // namespace lb::plan
