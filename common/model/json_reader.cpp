#include "common/model/json_reader.hpp"

#include "common/model/dom_builder.hpp"
#include "common/model/json.hpp"

namespace lb::wire {
namespace {

// What a tree of so many values takes, some 200 MB, a host that serves has.
constexpr size_t kMaxValues = 8'000'000;

}  // namespace

void refuse(const std::string& pointer, const std::string& message) {
  throw Refused{{"Schema", message, pointer}};
}

void refuse_unknown(const std::string& pointer, const std::string& message) {
  throw Refused{{"Schema", message, pointer}, true};
}

nlohmann::json parse_strict(std::string_view text, size_t max_bytes, size_t max_depth) {
  if (text.size() > max_bytes) {
    throw Refused{{"TooLarge", "larger than " + std::to_string(max_bytes) + " bytes"}};
  }
  return build_dom(text, {max_depth, kMaxValues});
}

std::string child(const std::string& pointer, std::string_view token) {
  std::string out = pointer + "/";
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

ObjectReader::ObjectReader(const nlohmann::json& value, std::string pointer, PassedOver* lenient)
    : value_(value), pointer_(std::move(pointer)), lenient_(lenient) {
  if (!value_.is_object()) refuse(pointer_, "must be an object");
}

const nlohmann::json* ObjectReader::find(const char* name) {
  known_.insert(name);
  const auto found = value_.find(name);
  return found == value_.end() ? nullptr : &*found;
}

const nlohmann::json& ObjectReader::require(const char* name) {
  const auto* found = find(name);
  if (found == nullptr) refuse(at(name), "is required");
  return *found;
}

void ObjectReader::text(const char* name, std::string& out, size_t max_length) {
  const auto* found = find(name);
  if (found == nullptr) return;
  std::string given = string_of(*found, name);
  if (given.size() > max_length) {
    refuse(at(name), "is longer than " + std::to_string(max_length) + " bytes");
  }
  out = std::move(given);
}

void ObjectReader::flag(const char* name, bool& out) {
  const auto* found = find(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) refuse(at(name), "must be true or false");
  out = found->get<bool>();
}

void ObjectReader::list(
    const char* name, const std::function<void(const nlohmann::json&, const std::string&)>& each) {
  const auto* found = find(name);
  if (found == nullptr) return;
  if (!found->is_array()) refuse(at(name), "must be a list");
  for (size_t i = 0; i < found->size(); ++i) each((*found)[i], child(at(name), std::to_string(i)));
}

void ObjectReader::finish() const {
  for (const auto& [name, value] : value_.items()) {
    if (!known_.contains(name)) unknown(child(pointer_, name), "unknown field");
  }
}

void ObjectReader::unknown(const std::string& pointer, const std::string& message) const {
  if (lenient_ == nullptr) refuse_unknown(pointer, message);
  lenient_->add({"Schema", message, pointer});
}

// nlohmann's own get<uint16_t>() wraps without a word, and takes 80.0 for 80.
uint64_t ObjectReader::integer(const nlohmann::json& value, const char* name, uint64_t low,
                               uint64_t high) const {
  const bool whole = value.is_number_unsigned();
  const uint64_t given = whole ? value.get<uint64_t>() : 0;
  if (!whole || given < low || given > high) {
    refuse(at(name),
           "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return given;
}

std::string ObjectReader::string_of(const nlohmann::json& value, const char* name) const {
  return as_text(value, at(name));
}

std::string as_text(const nlohmann::json& value, const std::string& pointer) {
  if (!value.is_string()) refuse(pointer, "must be a string");
  return value.get<std::string>();
}

}  // namespace lb::wire
