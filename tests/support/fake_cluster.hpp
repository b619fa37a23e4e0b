// What a Kubernetes API server keeps, in small: objects, versions, what has happened since when.
//
// For tests; one thread at a time, no clock, no socket (FakeApiServer puts one before it). Versions
// are one counter over all resources; a write that changes nothing has none. Objects with
// finalizers are only marked when they are deleted, and go with their last finalizer. Patches are
// strategic merges as far as status, conditions and finalizers of a Service need them; a version or
// uid in one that is no longer true is a conflict (409). Follows the API concepts page.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/json.hpp"

namespace lb::test {

using Json = nlohmann::json;

struct ClusterEvent {
  uint64_t version = 0;
  std::string type;  // ADDED, MODIFIED, DELETED
  Json object;
};

struct ClusterAnswer {
  int status = 200;
  Json body = Json::object();
};

class FakeCluster {
 public:
  using Edit = std::function<void(Json& object)>;

  // Writes as somebody with every right does: without a lock. `resource` is the path of the
  // collection over all namespaces ("/api/v1/services"). Status and finalizers that are held and
  // not given stay.
  void put(const std::string& resource, Json object);
  // False when there is none.
  bool edit(const std::string& resource, const std::string& ns, const std::string& name,
            const Edit& change);
  // As kubectl delete.
  bool remove(const std::string& resource, const std::string& ns, const std::string& name);

  ClusterAnswer patch(const std::string& resource, const std::string& ns, const std::string& name,
                      const Json& body);
  // POST and PUT of a whole object (Leases).
  ClusterAnswer create(const std::string& resource, Json object);
  ClusterAnswer replace(const std::string& resource, Json object);
  ClusterAnswer get(const std::string& resource, const std::string& ns,
                    const std::string& name) const;

  std::vector<Json> list(const std::string& resource) const;
  const Json* find(const std::string& resource, const std::string& ns,
                   const std::string& name) const;
  uint64_t version() const { return version_; }
  // What happened after `version`; nullopt: too long ago to be known.
  std::optional<std::vector<ClusterEvent>> since(const std::string& resource,
                                                 uint64_t version) const;
  // Forgets what has happened: versions before the present one are too old from now on.
  void compact();

 private:
  using Key = std::pair<std::string, std::string>;
  struct Resource {
    std::map<Key, Json> objects;
    std::vector<ClusterEvent> history;
  };

  void store(const std::string& resource, const Key& key, Json object);
  void forget(const std::string& resource, const Key& key);

  std::map<std::string, Resource> resources_;
  uint64_t version_ = 100;
  uint64_t compacted_ = 0;
  uint64_t uids_ = 0;
};

// A status object of the API, as errors come in.
Json status_body(int code, const std::string& reason, const std::string& message);
// What a watch sends, as one line.
std::string event_line(const std::string& type, const Json& object);
std::string bookmark_line(uint64_t version, bool end_of_initial_events);

}  // namespace lb::test
