// A line of the log, whatever stands in its values: one line of JSON that a terminal may show.
#include <algorithm>

#include "common/model/json.hpp"
#include "common/ops/log.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using lb::fuzz::must;
using nlohmann::json;

bool is_utf8(const std::string& text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(lb::fuzz::as_text(data, size));
  const std::string message = text.substr(0, size / 2), value = text.substr(size / 2);
  const auto line = lb::ops::format_line("t", lb::ops::Level::kWarning, message, {{"name", value}});
  must(std::ranges::all_of(line, [](char c) { return c >= ' ' && c < '\x7f'; }),
       "a line is printable ASCII");
  const auto read = json::parse(line, nullptr, false);
  must(read.is_object() && read.size() == 4, "a line is an object with its own members");
  must(read.at("level") == "warning", "no value changes another");
  if (is_utf8(value)) must(read.at("name") == value, "text comes back as it was");
  return 0;
}
