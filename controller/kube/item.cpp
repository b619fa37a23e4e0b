#include "controller/kube/item.hpp"

#include <algorithm>
#include <utility>

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"

namespace lb::kube {
namespace {

using nlohmann::json;

// What we read nests 8 deep; writing text out recurses, so there must be an end.
constexpr int kMaxDepth = 32;

bool nests_within(const json& value, int depth) {
  if (!value.is_structured()) return true;
  return depth > 0 && std::ranges::all_of(
                          value, [&](const json& each) { return nests_within(each, depth - 1); });
}

std::string dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Its names, without what nobody reads of it.
Item named(json& object) {
  Item out;
  const auto meta = object.find("metadata");
  if (meta != object.end() && meta->is_object()) {
    out.ns = wire::text_or_empty(*meta, "namespace");
    out.name = wire::text_or_empty(*meta, "name");
    meta->erase("managedFields");
  }
  return out;
}

}  // namespace

Item item_of(json& object) {
  Item out = named(object);
  if (nests_within(object, kMaxDepth)) out.json = dump(object);
  return out;
}

Item parsed_item_of(json& object) {
  Item out = named(object);
  if (nests_within(object, kMaxDepth)) out.parsed = std::make_shared<json>(std::move(object));
  return out;
}

std::string text_of(const Item& item) { return item.parsed ? dump(*item.parsed) : item.json; }

}  // namespace lb::kube
