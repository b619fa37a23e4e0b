// Fields: a JSON object of the Kubernetes API and where it is, read tolerantly.
//
// For the decoders of lb_plan only. Unknown fields are ignored, null is absent; a field that is
// read and has the wrong type throws Refused, which decode_fields() turns into an
// Error{"InvalidObject"} with the pointer of that field. Pure; any thread. A Fields lives no longer
// than the decode_fields() that made it.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
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
  Fields(const nlohmann::json& object, std::string path);

  bool given(const char* name) const { return find(name) != nullptr; }
  std::string text(const char* name, std::string fallback = {}) const;
  std::optional<std::string> optional_text(const char* name) const;
  // The API server lets no others pass. Keys are made of them, and a key that a data plane refuses
  // would cost every service the document it stands in.
  std::string object_name(const char* name) const;
  std::optional<bool> flag(const char* name) const;
  std::optional<uint32_t> number(const char* name, uint32_t max) const;
  std::optional<uint64_t> big_number(const char* name) const;
  std::optional<int32_t> whole(const char* name) const;
  std::optional<uint16_t> port(const char* name) const;
  // targetPort is a number or a name.
  std::string number_or_text(const char* name) const;
  std::vector<std::string> texts(const char* name) const;
  std::map<std::string, std::string> text_map(const char* name) const;
  Fields child(const char* name) const;

  template <class T, class Decode>
  std::vector<T> list(const char* name, Decode decode) const {
    std::vector<T> out;
    each(name, [&](const nlohmann::json& item, const std::string& path) {
      out.push_back(decode(Fields(item, path)));
    });
    return out;
  }

  // Where a value that was read is, for an Error of the reader's own.
  std::string at(const char* name) const { return path_ + "/" + name; }
  [[noreturn]] static void refuse(const std::string& path, const std::string& wanted);

 private:
  using Use = std::function<void(const nlohmann::json&, const std::string&)>;

  void each(const char* name, const Use& use) const;
  const nlohmann::json* find(const char* name) const;

  const nlohmann::json& object_;
  std::string path_;
};

ObjectMeta read_meta(const Fields& meta);

// Parses the text and has its object read. Nothing here recurses with the depth of the text: the
// parser does not, and the shapes are fixed.
Status with_fields(std::string_view text, const std::function<void(const Fields&)>& read);
Status with_fields(const nlohmann::json& parsed, const std::function<void(const Fields&)>& read);

// `Json` is a text, or what it was parsed to.
template <class T, class Json, class Read>
Result<T> decode_fields(const Json& text, Read read) {
  std::optional<T> out;
  const Status sound = with_fields(text, [&](const Fields& root) { out = read(root); });
  if (!sound) return sound.error();
  return std::move(*out);
}

}  // namespace lb::plan
