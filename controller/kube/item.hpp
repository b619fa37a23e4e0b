// One object of the Kubernetes API as it came, and what identifies it. Plain values; any thread.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lb::kube {

struct Item {
  std::string ns;
  std::string name;
  // One of the two; neither when the object nests too deep to be read.
  std::string json = {};
  std::shared_ptr<const nlohmann::json> parsed = {};
};

// Takes `object` apart: what nobody reads (metadata.managedFields, most of a small object) is left
// out. That field nests as deep as whoever wrote the object wishes; the others have fixed shapes.
// `json` is what is left: a list of all there is keeps text, which takes a tenth of the room.
Item item_of(nlohmann::json& object);
// The same with `parsed`, for one that is read at once.
Item parsed_item_of(nlohmann::json& object);

// As JSON, whichever it has; empty: it has neither.
std::string text_of(const Item& item);

}  // namespace lb::kube
