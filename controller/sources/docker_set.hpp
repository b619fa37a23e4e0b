// The labelled containers that are known, and which services have changed because of them.
//
// Looks only at services whose containers have changed: one container's change costs its service's
// work. Owned by the source, on its thread; pure; never fails.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/core/docker_services.hpp"

namespace lb::sources {

class DockerSet {
 public:
  struct Changes {
    std::vector<plan::SourceService> changed;
    std::vector<std::string> removed;
  };

  // Also of one that has ended or asks for nothing, which is then forgotten.
  void put(plan::Container container);
  void erase(const std::string& id);
  // These are all there are; those of `kept` stay as they were.
  void replace(std::vector<plan::Container> all, const std::set<std::string>& kept);
  void set_draining(const std::string& id, bool draining);

  // Since the last call.
  Changes take();

  size_t containers() const { return containers_.size(); }
  std::set<std::string> keys() const;  // of all services

 private:
  void take_group(const std::string& group, Changes& out);

  std::map<std::string, plan::LabelledContainer> containers_;         // by id
  std::map<std::string, std::set<std::string>> groups_;               // ids by their labels' key
  std::map<std::string, std::vector<plan::SourceService>> services_;  // likewise: as last taken
  std::set<std::string> draining_;
  std::set<std::string> dirty_;  // groups
};

}  // namespace lb::sources
