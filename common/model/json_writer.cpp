#include "common/model/json_writer.hpp"

#include <algorithm>
#include <charconv>
#include "common/model/json.hpp"

namespace lb::wire {
namespace {

bool plain(char c) { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; }

}  // namespace

// A value is never followed by another without one, and begins after a bracket or a name.
void JsonWriter::separate() {
  if (text_.empty()) return;
  const char last = text_.back();
  if (last != '{' && last != '[' && last != ':') text_ += ',';
}

void JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
}

void JsonWriter::name(std::string_view name) {
  separate();
  text_ += '"';
  text_ += name;
  text_ += "\":";
}

void JsonWriter::text(std::string_view value) {
  separate();
  if (!std::all_of(value.begin(), value.end(), plain)) {
    using nlohmann::json;
    text_ += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
    return;
  }
  text_ += '"';
  text_ += value;
  text_ += '"';
}

void JsonWriter::number(uint64_t value) {
  separate();
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  text_.append(digits, end);
}

void JsonWriter::flag(bool value) {
  separate();
  text_ += value ? "true" : "false";
}

void JsonWriter::raw(std::string_view json) {
  separate();
  text_ += json;
}

}  // namespace lb::wire
