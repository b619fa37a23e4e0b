#include "controller/core/fields.hpp"

#include <algorithm>

#include "common/model/json.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;

std::string text_of(const json& value, const std::string& path) {
  if (!value.is_string()) Fields::refuse(path, "a string");
  return value.get<std::string>();
}

}  // namespace

Fields::Fields(const json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) refuse(path_, "an object");
}

std::string Fields::text(const char* name, std::string fallback) const {
  return optional_text(name).value_or(std::move(fallback));
}

std::optional<std::string> Fields::optional_text(const char* name) const {
  const json* found = find(name);
  if (!found) return std::nullopt;
  // Where it is matters to a refusal only.
  return found->is_string() ? found->get<std::string>() : text_of(*found, at(name));
}

std::string Fields::object_name(const char* name) const {
  std::string out = text(name);
  const auto plain = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
  if (out.size() > kMaxName || !std::ranges::all_of(out, plain)) refuse(at(name), "a name");
  return out;
}

std::optional<bool> Fields::flag(const char* name) const {
  const json* found = find(name);
  if (!found) return std::nullopt;
  if (!found->is_boolean()) refuse(at(name), "true or false");
  return found->get<bool>();
}

std::optional<uint32_t> Fields::number(const char* name, uint32_t max) const {
  const json* found = find(name);
  if (!found) return std::nullopt;
  if (!found->is_number_unsigned() || found->get<uint64_t>() > max) {
    refuse(at(name), "a whole number up to " + std::to_string(max));
  }
  return found->get<uint32_t>();
}

std::optional<uint64_t> Fields::big_number(const char* name) const {
  const json* found = find(name);
  if (!found) return std::nullopt;
  if (!found->is_number_unsigned()) refuse(at(name), "a whole number");
  return found->get<uint64_t>();
}

std::optional<int32_t> Fields::whole(const char* name) const {
  const json* found = find(name);
  if (!found) return std::nullopt;
  const bool unsigned_fits = found->is_number_unsigned() && found->get<uint64_t>() <= INT32_MAX;
  const bool negative_fits = found->is_number_integer() && !found->is_number_unsigned() &&
                             found->get<int64_t>() >= INT32_MIN;
  if (!unsigned_fits && !negative_fits) refuse(at(name), "a whole number of 32 bits");
  return found->get<int32_t>();
}

std::optional<uint16_t> Fields::port(const char* name) const {
  const auto value = number(name, UINT16_MAX);
  return value ? std::optional(static_cast<uint16_t>(*value)) : std::nullopt;
}

std::string Fields::number_or_text(const char* name) const {
  const json* found = find(name);
  if (found && found->is_number()) return std::to_string(number(name, UINT16_MAX).value_or(0));
  return text(name);
}

std::vector<std::string> Fields::texts(const char* name) const {
  std::vector<std::string> out;
  each(name,
       [&](const json& item, const std::string& path) { out.push_back(text_of(item, path)); });
  return out;
}

std::map<std::string, std::string> Fields::text_map(const char* name) const {
  std::map<std::string, std::string> out;
  const json* found = find(name);
  if (!found) return out;
  if (!found->is_object()) refuse(at(name), "an object");
  for (const auto& [key, value] : found->items()) out[key] = text_of(value, at(name) + "/" + key);
  return out;
}

Fields Fields::child(const char* name) const {
  static const json kEmpty = json::object();
  const json* found = find(name);
  return {found ? *found : kEmpty, at(name)};
}

void Fields::refuse(const std::string& path, const std::string& wanted) {
  throw Refused{{"InvalidObject", (path.empty() ? "/" : path) + " must be " + wanted, path}};
}

void Fields::each(const char* name, const Use& use) const {
  const json* found = find(name);
  if (!found) return;
  if (!found->is_array()) refuse(at(name), "a list");
  size_t index = 0;
  for (const json& item : *found) use(item, at(name) + "/" + std::to_string(index++));
}

const json* Fields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Status with_fields(std::string_view text, const std::function<void(const Fields&)>& read) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  return with_fields(parsed, read);
}

Status with_fields(const json& parsed, const std::function<void(const Fields&)>& read) {
  if (parsed.is_discarded()) return Error{"InvalidObject", "not valid JSON"};
  try {
    read(Fields(parsed, ""));
    return Done{};
  } catch (const Refused& refused) {
    return refused.error;
  }
}

}  // namespace lb::plan
