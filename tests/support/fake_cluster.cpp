#include "tests/support/fake_cluster.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace lb::test {
namespace {

std::pair<std::string, std::string> key_of(const Json& object) {
  const Json& meta = object.at("metadata");
  return {meta.value("namespace", ""), meta.value("name", "")};
}

void merge_finalizers(Json& meta, const Json& wanted) {
  std::set<std::string> names;
  for (const auto& name : meta.value("finalizers", Json::array())) names.insert(name);
  for (const auto& name : wanted.value("finalizers", Json::array())) names.insert(name);
  for (const auto& name : wanted.value("$deleteFromPrimitiveList/finalizers", Json::array())) {
    names.erase(name);
  }
  meta["finalizers"] = names;
  if (names.empty()) meta.erase("finalizers");
}

void merge_conditions(Json& status, const Json& changes) {
  Json held = status["conditions"].is_array() ? status["conditions"] : Json::array();
  for (const Json& change : changes) {
    const auto same = [&](const Json& each) { return each["type"] == change["type"]; };
    held.erase(std::remove_if(held.begin(), held.end(), same), held.end());
    if (change.value("$patch", "") != "delete") held.push_back(change);
  }
  status["conditions"] = std::move(held);
}

// What validation refuses: addresses in the status of a Service of another type.
bool refused(const Json& object) {
  const Json ingress = object.value("/status/loadBalancer/ingress"_json_pointer, Json());
  const std::string type = object.value("/spec/type"_json_pointer, "ClusterIP");
  return ingress.is_array() && !ingress.empty() && type != "LoadBalancer";
}

ClusterAnswer error(int code, const char* reason, const std::string& message) {
  return {code, status_body(code, reason, message)};
}

}  // namespace

Json status_body(int code, const std::string& reason, const std::string& message) {
  return {{"kind", "Status"},   {"apiVersion", "v1"}, {"status", "Failure"},
          {"message", message}, {"reason", reason},   {"code", code}};
}

std::string event_line(const std::string& type, const Json& object) {
  return Json{{"type", type}, {"object", object}}.dump();
}

std::string bookmark_line(uint64_t version, bool end_of_initial_events) {
  Json meta{{"resourceVersion", std::to_string(version)}};
  if (end_of_initial_events) meta["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  return event_line("BOOKMARK", {{"metadata", meta}});
}

void FakeCluster::store(const std::string& resource, const Key& key, Json object) {
  Resource& held = resources_[resource];
  const auto before = held.objects.find(key);
  const bool is_new = before == held.objects.end();
  if (!is_new && before->second == object) return;
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  if (object["metadata"].value("uid", "").empty()) {
    object["metadata"]["uid"] = "uid-" + std::to_string(++uids_);
  }
  held.objects[key] = object;
  held.history.push_back({version_, is_new ? "ADDED" : "MODIFIED", std::move(object)});
  const Json& meta = held.objects[key]["metadata"];
  if (meta.contains("deletionTimestamp") && meta.value("finalizers", Json::array()).empty()) {
    forget(resource, key);
  }
}

void FakeCluster::forget(const std::string& resource, const Key& key) {
  Resource& held = resources_[resource];
  Json object = std::move(held.objects.at(key));
  held.objects.erase(key);
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  held.history.push_back({version_, "DELETED", std::move(object)});
}

void FakeCluster::put(const std::string& resource, Json object) {
  const Key key = key_of(object);
  if (const Json* held = find(resource, key.first, key.second)) {
    for (const char* kept :
         {"uid", "resourceVersion", "finalizers", "deletionTimestamp", "creationTimestamp"}) {
      if (!object["metadata"].contains(kept) && (*held)["metadata"].contains(kept)) {
        object["metadata"][kept] = (*held)["metadata"][kept];
      }
    }
    if (!object.contains("status") && held->contains("status"))
      object["status"] = (*held)["status"];
  }
  // Since 1.29 a write of the spec wipes the addresses of what is no load balancer.
  if (refused(object)) object["status"]["loadBalancer"] = Json::object();
  store(resource, key, std::move(object));
}

bool FakeCluster::edit(const std::string& resource, const std::string& ns, const std::string& name,
                       const Edit& change) {
  const Json* held = find(resource, ns, name);
  if (held == nullptr) return false;
  Json object = *held;
  change(object);
  if (refused(object)) object["status"]["loadBalancer"] = Json::object();
  store(resource, {ns, name}, std::move(object));
  return true;
}

bool FakeCluster::remove(const std::string& resource, const std::string& ns,
                         const std::string& name) {
  const Json* held = find(resource, ns, name);
  if (held == nullptr) return false;
  if ((*held)["metadata"].value("finalizers", Json::array()).empty()) {
    forget(resource, {ns, name});
    return true;
  }
  return edit(resource, ns, name, [](Json& object) {
    object["metadata"].emplace("deletionTimestamp", "2026-02-01T00:00:00Z");
  });
}

ClusterAnswer FakeCluster::patch(const std::string& resource, const std::string& ns,
                                 const std::string& name, const Json& body) {
  const Json* held = find(resource, ns, name);
  if (held == nullptr) return error(404, "NotFound", name + " is not there");
  const Json wanted = body.value("metadata", Json::object());
  Json object = *held;
  Json& meta = object["metadata"];
  for (const char* lock : {"resourceVersion", "uid"}) {
    if (wanted.contains(lock) && wanted[lock] != meta[lock]) {
      return error(409, "Conflict", "the object has been modified");
    }
  }
  merge_finalizers(meta, wanted);
  const Json changes = body.value("status", Json::object());
  if (changes.contains("loadBalancer")) {
    const Json ingress = changes["loadBalancer"].value("ingress", Json());
    object["status"]["loadBalancer"] =
        ingress.is_null() ? Json::object() : Json{{"ingress", ingress}};
  }
  if (changes.contains("conditions")) merge_conditions(object["status"], changes["conditions"]);
  if (refused(object)) return error(422, "Invalid", "may only be used when type is LoadBalancer");
  Json out = object;
  store(resource, {ns, name}, std::move(object));
  if (const Json* now = find(resource, ns, name)) out = *now;
  return {200, std::move(out)};
}

ClusterAnswer FakeCluster::create(const std::string& resource, Json object) {
  const Key key = key_of(object);
  if (find(resource, key.first, key.second) != nullptr) {
    return error(409, "AlreadyExists", key.second + " exists");
  }
  object["metadata"].emplace("creationTimestamp", "2026-01-31T12:00:00Z");
  store(resource, key, std::move(object));
  return {201, *find(resource, key.first, key.second)};
}

ClusterAnswer FakeCluster::replace(const std::string& resource, Json object) {
  const Key key = key_of(object);
  const Json* held = find(resource, key.first, key.second);
  if (held == nullptr) return error(404, "NotFound", key.second + " is not there");
  if (object["metadata"].value("resourceVersion", "") != (*held)["metadata"]["resourceVersion"]) {
    return error(409, "Conflict", "the object has been modified");
  }
  for (const char* kept : {"uid", "creationTimestamp"}) {
    if (held->at("metadata").contains(kept)) object["metadata"][kept] = (*held)["metadata"][kept];
  }
  store(resource, key, std::move(object));
  return {200, *find(resource, key.first, key.second)};
}

ClusterAnswer FakeCluster::get(const std::string& resource, const std::string& ns,
                               const std::string& name) const {
  const Json* held = find(resource, ns, name);
  if (held == nullptr) return error(404, "NotFound", name + " is not there");
  return {200, *held};
}

const Json* FakeCluster::find(const std::string& resource, const std::string& ns,
                              const std::string& name) const {
  const auto held = resources_.find(resource);
  if (held == resources_.end()) return nullptr;
  const auto object = held->second.objects.find({ns, name});
  return object == held->second.objects.end() ? nullptr : &object->second;
}

std::vector<Json> FakeCluster::list(const std::string& resource) const {
  std::vector<Json> out;
  const auto held = resources_.find(resource);
  if (held == resources_.end()) return out;
  for (const auto& [key, object] : held->second.objects) out.push_back(object);
  return out;
}

std::optional<std::vector<ClusterEvent>> FakeCluster::since(const std::string& resource,
                                                            uint64_t version) const {
  if (version < compacted_) return std::nullopt;
  std::vector<ClusterEvent> out;
  const auto held = resources_.find(resource);
  if (held == resources_.end()) return out;
  const auto& history = held->second.history;
  const auto first = std::upper_bound(
      history.begin(), history.end(), version,
      [](uint64_t value, const ClusterEvent& event) { return value < event.version; });
  out.assign(first, history.end());
  return out;
}

void FakeCluster::compact() {
  compacted_ = ++version_;
  for (auto& [name, resource] : resources_) resource.history.clear();
}

}  // namespace lb::test
