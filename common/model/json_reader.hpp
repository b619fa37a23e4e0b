// Strict reading of JSON: one parse that refuses what nlohmann would let pass, and a cursor over
// objects that remembers which fields were asked for.
//
// Inside common/model only. Refusals are thrown as Refused and caught at the codec's boundary;
// nothing else of this file leaves it. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/passed_over.hpp"
#include "common/model/result.hpp"

namespace lb::wire {

struct Refused {
  Error error;
  bool unknown = false;  // a field, or a value of a choice, that a later version may know
};

[[noreturn]] void refuse(const std::string& pointer, const std::string& message);
[[noreturn]] void refuse_unknown(const std::string& pointer, const std::string& message);

// Refuses ("Syntax", "TooLarge", "TooDeep") malformed text, duplicate members, excess.
nlohmann::json parse_strict(std::string_view text, size_t max_bytes, size_t max_depth);

// Appends an escaped token to an RFC 6901 pointer.
std::string child(const std::string& pointer, std::string_view token);

// Walks one object. Each getter marks its field as known; finish() refuses what was not asked for.
// With `lenient` what is unknown is noted there and passed over instead; all else is refused still.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& value, std::string pointer, PassedOver* lenient = nullptr);

  // For readers of what is inside.
  PassedOver* lenient() const { return lenient_; }

  const nlohmann::json* find(const char* name);  // nullptr when absent
  const nlohmann::json& require(const char* name);
  std::string at(const char* name) const { return child(pointer_, name); }

  // Each leaves `out` as it is when the field is absent.
  void text(const char* name, std::string& out, size_t max_length = 4096);
  void flag(const char* name, bool& out);
  template <class T>
  void number(const char* name, T& out, uint64_t low, uint64_t high) {
    if (const auto* found = find(name)) out = static_cast<T>(integer(*found, name, low, high));
  }
  template <class T>
  void choice(const char* name, T& out, std::initializer_list<T> values) {
    const auto* found = find(name);
    if (found == nullptr) return;
    const std::string given = string_of(*found, name);
    for (const T value : values) {
      if (given == to_string(value)) {
        out = value;
        return;
      }
    }
    unknown(at(name), "unknown value '" + given + "'");
  }
  // Calls `each(element, pointer)` for every element of the array, if the field is there.
  void list(const char* name,
            const std::function<void(const nlohmann::json&, const std::string&)>& each);

  void finish() const;

 private:
  void unknown(const std::string& pointer, const std::string& message) const;
  uint64_t integer(const nlohmann::json& value, const char* name, uint64_t low,
                   uint64_t high) const;
  std::string string_of(const nlohmann::json& value, const char* name) const;

  const nlohmann::json& value_;
  std::string pointer_;
  PassedOver* lenient_;
  std::set<std::string, std::less<>> known_;
};

std::string as_text(const nlohmann::json& value, const std::string& pointer);

}  // namespace lb::wire
