// What Consul has said of each service, what of it is believed, and what has changed because of it.
//
// While it is doubted, a loss is not believed (plan::without_losses), and what is new is. Owned by
// the source, on its thread; pure; never fails.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/core/consul_services.hpp"

namespace lb::sources {

class ConsulSet {
 public:
  struct Changes {
    std::vector<plan::SourceService> changed;
    std::vector<std::string> removed;

    bool empty() const { return changed.empty() && removed.empty(); }
  };

  // All instances of the service that there are; of those that could not be read, what was known
  // stays.
  Changes put(const std::string& name, plan::ConsulInstances instances);
  // Services of other names are gone.
  Changes keep(const std::set<std::string>& names);
  void doubt() { doubted_ = true; }
  // What was said holds: services that Consul no longer names are the caller's to keep() out.
  Changes believe();

  bool doubted() const { return doubted_; }
  size_t instances() const { return instances_; }
  std::set<std::string> names() const;
  std::set<std::string> keys() const;  // of all services

 private:
  struct Known {
    std::vector<plan::ConsulInstance> said, believed;
    std::vector<plan::SourceService> services;
  };

  void update(const std::string& name, Known& known, std::vector<plan::ConsulInstance> believed,
              Changes& out);

  std::map<std::string, Known> services_;
  size_t instances_ = 0;  // believed
  bool doubted_ = false;
};

}  // namespace lb::sources
