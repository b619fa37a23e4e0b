#include "empalme/table.hpp"

#include <algorithm>

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"

namespace lb::cli {

std::string printable(std::string text) {
  bool after_c2 = false;
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    // U+0080 to U+009F are C2 80 to C2 9F in UTF-8.
    const bool second = after_c2 && byte >= 0x80 && byte <= 0x9f;
    after_c2 = byte == 0xc2;
    if (byte < 0x20 || byte == 0x7f) c = '?';
    if (second) c = static_cast<char>(0xbf);  // U+00BF, an inverted question mark
  }
  return text;
}

std::string text(const nlohmann::json& object, const char* name) {
  return printable(wire::text_or_empty(object, name));
}

std::string render(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& each : rows) {
    for (size_t i = 0; i < each.size(); ++i) widths[i] = std::max(widths[i], each[i].size());
  }
  std::string out;
  for (const auto& each : rows) {
    for (size_t i = 0; i + 1 < each.size(); ++i) {
      out += each[i] + std::string(widths[i] - each[i].size() + 2, ' ');
    }
    out += each.back() + "\n";
  }
  return out;
}

}  // namespace lb::cli
