// nlohmann's JSON whose values can be destroyed when no memory is left; included by sources in
// place of <nlohmann/json.hpp>.
//
// nlohmann 3.11 destroys a tree by way of a list that it allocates, in a destructor that must not
// throw: a tree for which memory runs out would end the process. Here destroying allocates nothing
// down to kFlatBelow levels, more than any document that we take or make has; only what is deeper
// is taken apart by a list, so that depth never costs stack. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace lb::json_detail {

inline constexpr int kFlatBelow = 128;

class Level {
 public:
  Level() { ++depth(); }
  ~Level() { --depth(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  static bool deep() { return depth() > kFlatBelow; }

 private:
  static int& depth() {
    thread_local int depth = 0;
    return depth;
  }
};

template <class Json>
void move_children(Json& from, std::vector<Json>& to) {
  if (!from.is_structured()) return;
  for (auto& child : from) to.push_back(std::move(child));
}

// Leaves nothing below the children that would have to be walked into.
template <class Json, class Container>
void flatten(Container& children) {
  std::vector<Json> left;
  for (auto& child : children) {
    if constexpr (requires { child.second; }) {
      move_children(child.second, left);
    } else {
      move_children(child, left);
    }
  }
  while (!left.empty()) {
    Json last = std::move(left.back());
    left.pop_back();
    move_children(last, left);
  }
}

template <class Json, class Container>
void destroy(Container* children) {
  const Level level;
  if (Level::deep()) flatten<Json>(*children);
  delete children;
}

}  // namespace lb::json_detail

#define EMPALME_DESTROY_WITHOUT_ALLOCATING(Json)                             \
  template <>                                                                \
  inline void Json::json_value::destroy(nlohmann::detail::value_t type) {    \
    using Type = nlohmann::detail::value_t;                                  \
    if (type == Type::object) return lb::json_detail::destroy<Json>(object); \
    if (type == Type::array) return lb::json_detail::destroy<Json>(array);   \
    if (type == Type::string) delete string;                                 \
    if (type == Type::binary) delete binary;                                 \
  }
EMPALME_DESTROY_WITHOUT_ALLOCATING(nlohmann::json)
EMPALME_DESTROY_WITHOUT_ALLOCATING(nlohmann::ordered_json)
#undef EMPALME_DESTROY_WITHOUT_ALLOCATING
