#include "empalme/table.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/model/json_lookup.hpp"

namespace lb::cli {

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
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
