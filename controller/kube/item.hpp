// One object of the Kubernetes API as it came, and what identifies it. Plain values; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lb::kube {

struct Item {
  std::string ns;
  std::string name;
  std::string json;  // empty when the object nests too deep to be read
};

// Takes `object` apart: what nobody reads (metadata.managedFields, most of a small object) is left
// out. That field nests as deep as whoever wrote the object wishes; the others have fixed shapes.
Item item_of(nlohmann::json& object);

}  // namespace lb::kube
