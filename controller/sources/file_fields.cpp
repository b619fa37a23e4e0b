#include "controller/sources/file_fields.hpp"

#include <algorithm>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"

namespace lb::sources {

using Json = nlohmann::json;

void refuse(const std::string& pointer, const std::string& why) {
  throw BadFile{{"Schema", why, pointer}};
}

std::string at(const std::string& pointer, size_t index) {
  return wire::child(pointer, std::to_string(index));
}

void known_fields(const Json& value, const std::string& pointer,
                  const std::set<std::string>& fields) {
  for (const auto& [name, ignored] : value.items()) {
    if (!fields.contains(name)) refuse(wire::child(pointer, name), "unknown field '" + name + "'");
  }
}

void split(Json& value, const char* field, const std::string& pointer) {
  const auto found = value.find(field);
  if (found == value.end() || !found->is_string()) return;
  const std::string text = *found;
  const std::string here = wire::child(pointer, field);
  Json list = Json::array();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    std::string each = text.substr(begin, comma - begin);
    each.erase(0, each.find_first_not_of(" \t"));
    each.erase(each.find_last_not_of(" \t") + 1);
    if (each.empty()) refuse(here, "has nothing before, after or between its commas");
    list.push_back(std::move(each));
    begin = comma + 1;
  }
  *found = std::move(list);
}

std::string text_of(const Json& value, const char* field) {
  const auto found = value.find(field);
  return found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace lb::sources
