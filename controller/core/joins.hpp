// Groups of one service that take their backends from another service, of whatever source.
//
// The host names the guest by its key, and keeps its own listener and policy; the guest stays what
// it is. A guest that is not there leaves its group empty, and its share to the other groups, until
// it comes. Only what the guest's own source says is taken: what a guest takes in from others is
// not passed on. Pure; any thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/core/source_service.hpp"

namespace lb::plan {

struct World;

// Adds to `ports`, which are the host's, the backends of its guests. A backend that is there
// already stays in its group; one that the guest's own source may not name (loopback, from a
// cluster) is left out; both are said. Where a guest's source has not synced yet, its group keeps
// what is published.
void take_in(const World& world, const SourceService& host, std::vector<ServicePort>& ports,
             std::vector<Problem>& problems);

// Which services a service is a guest of.
class JoinIndex {
 public:
  // Replaces what `host` takes in.
  void set(const std::string& host, const std::vector<Join>& joins);
  const std::set<std::string>& hosts_of(const std::string& guest) const;
  const std::set<std::string>& guests_of(const std::string& host) const;

 private:
  using Names = std::map<std::string, std::set<std::string>>;
  Names hosts_;
  Names guests_;
};

// `empalme.io/groups: "web=90, web-canary=10"`: connections of this Service go to these Services of
// its namespace, itself among them, by those weights. What cannot be read is a Problem, and the
// Service is served by its own backends alone.
inline constexpr char kGroupsAnnotation[] = "empalme.io/groups";
void apply_groups_annotation(const ServiceObject& service, SourceService& out);

}  // namespace lb::plan
