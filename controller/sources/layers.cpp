#include "controller/sources/layers.hpp"

#include <optional>
#include <set>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

std::optional<std::string> text_at(const Json& service, const char* field) {
  const auto found = service.is_object() ? service.find(field) : service.end();
  if (found == service.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::string> key_of(const Json& service) {
  if (const auto name = text_at(service, "name")) return "file/" + *name;
  return text_at(service, "key");
}

std::string place_of(size_t index) { return wire::child("/services", std::to_string(index)); }

size_t place_for(const Json& services, const std::string& key) {
  size_t index = 0;
  while (index < services.size() && key_of(services[index]) != key) ++index;
  return index;
}

}  // namespace

Status lay_over(PlacedDocument lower, PlacedDocument upper) {
  Json& below = lower.document["services"];
  Json above = std::move(upper.document["services"]);
  upper.document.erase("services");
  lower.document.merge_patch(upper.document);
  std::set<std::string> seen;
  for (size_t i = 0; i < above.size(); ++i) {
    const auto key = key_of(above[i]);
    if (!key) return Error{"Schema", "needs a 'name'", place_of(i)};
    if (!seen.insert(*key).second) {
      return Error{"Schema", "'" + *key + "' is given twice", place_of(i)};
    }
    const size_t at = place_for(below, *key);
    if (at == below.size()) {
      below.push_back(std::move(above[i]));
    } else {
      // Either form names it; what it is called stays as it was.
      for (const char* field : {"name", "key"}) above[i].erase(field);
      below[at].merge_patch(above[i]);
    }
    lower.positions.adopt(place_of(at), upper.positions, place_of(i));
  }
  return Done{};
}

}  // namespace lb::sources
