// Chooses for whom a connection is, among services that share an address and port.
//
// The name decides first: the very name, then the longest wildcard ("*.shop.example.com" before
// "*.example.com"), then whoever asks for no name. Of several for one name the longest range of
// sources that holds the client decides, then whoever asks for none. A match whose ranges do not
// hold the client is passed over: the next wider name is looked at. Pure; immutable once made.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/model/state.hpp"

namespace lb::balance {

class RouteTable {
 public:
  // One route for each match, known by its place. Names as parse_server_name() gives them.
  explicit RouteTable(const std::vector<Match>& matches);

  // Whether a name makes a difference.
  bool by_name() const { return by_name_; }

  // `name` as the client gave it, in lower case and without a dot at its end; empty: none. None:
  // nobody is there for it.
  std::optional<size_t> find(std::string_view name, const std::optional<IpAddress>& client) const;

 private:
  struct Source {
    std::optional<Cidr> range;  // none: from anywhere
    size_t route = 0;
  };
  using Sources = std::vector<Source>;  // the longest range first
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Names = std::unordered_map<std::string, Sources, Hash, std::equal_to<>>;

  std::optional<size_t> look_up(const Names& names, std::string_view name,
                                const std::optional<IpAddress>& client) const;
  static std::optional<size_t> from(const Sources& sources, const std::optional<IpAddress>& client);

  Names exact_;      // "" is for whoever asks for no name
  Names wildcards_;  // without "*."
  bool by_name_ = false;
};

}  // namespace lb::balance
