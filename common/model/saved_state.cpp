#include "common/model/saved_state.hpp"

#include <optional>
#include <set>
#include <utility>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"
#include "common/model/state_reader.hpp"

namespace lb {
namespace {

using Json = nlohmann::json;

// Of one service; beyond it, it is no service of a later version, but something else.
constexpr int kMostPassedOver = 256;

// Takes out what `pointer` names, from the root of the document.
void take_out(Json& document, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  document.at(at.parent_pointer()).erase(at.back());
}

// Nullopt: it cannot be read, and is left out.
std::optional<Service> read_leniently(Json& document, const std::string& pointer,
                                      std::vector<Error>& passed_over) {
  for (int i = 0; i < kMostPassedOver; ++i) {
    try {
      return wire::read_service(document.at(Json::json_pointer(pointer)), pointer);
    } catch (const wire::Refused& refused) {
      passed_over.push_back(refused.error);
      if (!refused.unknown) return std::nullopt;
      take_out(document, refused.error.pointer);
    }
  }
  return std::nullopt;
}

ServiceList read_services(Json& document, std::vector<Error>& passed_over) {
  ServiceList out;
  std::set<std::string> keys;
  const size_t count = document.contains("services") ? document.at("services").size() : 0;
  for (size_t i = 0; i < count; ++i) {
    const std::string pointer = "/services/" + std::to_string(i);
    auto service = read_leniently(document, pointer, passed_over);
    if (!service) continue;
    if (keys.insert(service->key).second) {
      out.push_back(*std::move(service));
    } else {
      passed_over.push_back({"Schema", "the same key twice", pointer});
    }
  }
  return out;
}

SavedState read_saved(Json& document) {
  SavedState out;
  wire::ObjectReader reader(document, "");
  wire::read_schema(reader);
  wire::read_version(reader, "epoch", out.state.version.epoch);
  wire::read_version(reader, "generation", out.state.version.generation);
  reader.list("services", [](const Json&, const std::string&) {});
  out.state.services = read_services(document, out.passed_over);
  try {
    reader.finish();
  } catch (const wire::Refused& refused) {
    out.passed_over.push_back(refused.error);
  }
  normalise(out.state);
  auto& generation = out.state.version.generation;
  if (!out.passed_over.empty() && generation > 0) --generation;
  return out;
}

}  // namespace

Result<SavedState> decode_saved_state(std::string_view text) {
  try {
    Json document = wire::parse_strict(text, kMaxStateBytes, kMaxDepth);
    return read_saved(document);
  } catch (const wire::Refused& refused) {
    return refused.error;
  }
}

}  // namespace lb
