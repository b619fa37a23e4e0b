#include "controller/sources/interpolate.hpp"

#include <algorithm>
#include <cstdlib>

namespace lb::sources {
namespace {

bool is_name(const std::string& text) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(), word);
}

// `inside` is what stands between the braces.
Result<std::string> value_of(const std::string& inside, const Environment& environment) {
  const size_t separator = inside.find(":-");
  const std::string name = inside.substr(0, separator);
  if (!is_name(name)) return Error{"Syntax", "'${" + inside + "}' names no variable"};
  const auto value = environment(name);
  if (separator == std::string::npos) {
    if (value) return *value;
    return Error{"Syntax", "the variable " + name + " is not set, and ${" + name +
                               ":-DEFAULT} would say what stands for it"};
  }
  return value && !value->empty() ? *value : inside.substr(separator + 2);
}

}  // namespace

std::optional<std::string> from_process(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Result<std::string> interpolate(const std::string& text, const Environment& environment) {
  std::string out;
  size_t done = 0;
  for (;;) {
    const size_t dollar = text.find("${", done);
    out += text.substr(done, dollar - done);
    if (dollar == std::string::npos) return out;
    if (dollar > done && text[dollar - 1] == '$') {
      out += "{";
      done = dollar + 2;
      continue;
    }
    const size_t end = text.find('}', dollar);
    if (end == std::string::npos) return Error{"Syntax", "'${' without its '}'"};
    const auto value = value_of(text.substr(dollar + 2, end - dollar - 2), environment);
    if (!value) return value.error();
    out += *value;
    done = end + 1;
  }
}

}  // namespace lb::sources
