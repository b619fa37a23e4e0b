#include "controller/sources/kubernetes_source.hpp"

#include "controller/core/node_targets.hpp"
#include "controller/core/parsed_objects.hpp"
#include "controller/kube/api_requests.hpp"
#include "controller/sources/object_feed.hpp"

namespace lb::sources {
namespace {

constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";

std::string slice_key(const std::string& ns, const std::string& name) { return ns + "/" + name; }

// Empty: nobody's.
std::string owner_of(const plan::EndpointSliceObject& slice) {
  const auto label = slice.meta.labels.find(kServiceNameLabel);
  return label == slice.meta.labels.end() ? std::string{}
                                          : plan::kubernetes_key(slice.meta.ns, label->second);
}

struct Decoder {
  static std::string key_of(const plan::ServiceObject*, const std::string& ns,
                            const std::string& name) {
    return plan::kubernetes_key(ns, name);
  }
  static std::string key_of(const plan::EndpointSliceObject*, const std::string& ns,
                            const std::string& name) {
    return slice_key(ns, name);
  }
  static std::string key_of(const plan::NodeObject*, const std::string&, const std::string& name) {
    return name;
  }
  static std::string key_of(const plan::PodObject*, const std::string& ns,
                            const std::string& name) {
    return plan::pod_key(ns, name);
  }
  static Result<plan::ServiceObject> decode(const plan::ServiceObject*, const std::string& json) {
    return plan::decode_service(json);
  }
  static Result<plan::EndpointSliceObject> decode(const plan::EndpointSliceObject*,
                                                  const std::string& json) {
    return plan::decode_endpoint_slice(json);
  }
  static Result<plan::NodeObject> decode(const plan::NodeObject*, const std::string& json) {
    return plan::decode_node(json);
  }
  static Result<plan::PodObject> decode(const plan::PodObject*, const std::string& json) {
    return plan::decode_pod(json);
  }
  static Result<plan::ServiceObject> decode(const plan::ServiceObject*,
                                            const nlohmann::json& parsed) {
    return plan::service_from(parsed);
  }
  static Result<plan::EndpointSliceObject> decode(const plan::EndpointSliceObject*,
                                                  const nlohmann::json& parsed) {
    return plan::endpoint_slice_from(parsed);
  }
  static Result<plan::NodeObject> decode(const plan::NodeObject*, const nlohmann::json& parsed) {
    return plan::node_from(parsed);
  }
  static Result<plan::PodObject> decode(const plan::PodObject*, const nlohmann::json& parsed) {
    return plan::pod_from(parsed);
  }
};

}  // namespace

template <class Object>
void KubernetesSource::follow(const char* path) {
  feeds_.push_back(
      std::make_unique<ObjectFeed<Object, KubernetesSource, Decoder>>(io_, *this, path));
  reflectors_.push_back(std::make_unique<kube::Reflector>(
      kube::Reflector::Options{
          path, options_.make_client, options_.on_unauthorized, {}, options_.watch_list},
      *feeds_.back()));
}

KubernetesSource::KubernetesSource(asio::io_context& io, Options options, SourceSink& sink)
    : io_(io), options_(std::move(options)), sink_(sink) {
  follow<plan::ServiceObject>(kube::kServices);
  follow<plan::EndpointSliceObject>(kube::kEndpointSlices);
  follow<plan::NodeObject>(kube::kNodes);
  if (options_.strict_endpoints) follow<plan::PodObject>(kube::kPods);
}

KubernetesSource::~KubernetesSource() { stop(); }

void KubernetesSource::start() {
  for (auto& reflector : reflectors_) reflector->start();
}

void KubernetesSource::stop() {
  for (auto& reflector : reflectors_) reflector->stop();
}

void KubernetesSource::put(plan::ServiceObject service) {
  const std::string key = plan::kubernetes_key(service.meta.ns, service.meta.name);
  auto& held = services_[key];
  if (held == service) return;
  held = std::move(service);
  emit(key);
}

void KubernetesSource::put(plan::EndpointSliceObject slice) {
  const std::string key = slice_key(slice.meta.ns, slice.meta.name);
  const std::string owner = owner_of(slice);
  if (const auto held = slices_.find(key); held != slices_.end() && held->second == slice) return;
  unlink_slice(key);
  if (options_.strict_endpoints) pods_.link(key, slice);
  slices_[key] = std::move(slice);
  if (owner.empty()) return;
  slices_of_[owner].insert(key);
  emit(owner);
}

void KubernetesSource::put(plan::NodeObject node) {
  const auto held = nodes_.find(node.meta.name);
  const bool same = held != nodes_.end() && held->second.addresses == node.addresses &&
                    held->second.meta.labels == node.meta.labels &&
                    held->second.taints == node.taints &&
                    held->second.meta.deleting() == node.meta.deleting();
  const std::string name = node.meta.name;
  nodes_[name] = std::move(node);
  if (!same) emit_nodes();
}

void KubernetesSource::put(plan::PodObject pod) { emit_owners(pods_.put(std::move(pod))); }

// Takes the slice from the service that has it; a slice may change hands.
void KubernetesSource::unlink_slice(const std::string& key) {
  const auto held = slices_.find(key);
  if (held == slices_.end()) return;
  if (options_.strict_endpoints) pods_.unlink(key, held->second);
  const auto owner = slices_of_.find(owner_of(held->second));
  if (owner == slices_of_.end()) return;
  owner->second.erase(key);
  if (owner->second.empty()) slices_of_.erase(owner);
}

void KubernetesSource::drop_service(const std::string& key) {
  on_nodes_.erase(key);
  if (services_.erase(key) > 0) sink_.remove(key);
}

void KubernetesSource::drop_slice(const std::string& key) {
  const auto held = slices_.find(key);
  if (held == slices_.end()) return;
  const std::string owner = owner_of(held->second);
  unlink_slice(key);
  slices_.erase(held);
  if (!owner.empty()) emit(owner);
}

void KubernetesSource::drop_node(const std::string& key) {
  if (nodes_.erase(key) > 0) emit_nodes();
}

void KubernetesSource::listed(const plan::ServiceObject*, std::set<std::string> keys) {
  listed_.insert(kube::kServices);
  std::erase_if(services_, [&](const auto& each) { return !keys.contains(each.first); });
  maybe_synced();
}

void KubernetesSource::listed(const plan::EndpointSliceObject*, std::set<std::string> keys) {
  listed_.insert(kube::kEndpointSlices);
  std::vector<std::string> gone;
  for (const auto& [key, slice] : slices_) {
    if (!keys.contains(key)) gone.push_back(key);
  }
  for (const auto& key : gone) drop_slice(key);
  tell_followed();
  maybe_synced();
}

void KubernetesSource::listed(const plan::NodeObject*, std::set<std::string> keys) {
  listed_.insert(kube::kNodes);
  if (std::erase_if(nodes_, [&](const auto& each) { return !keys.contains(each.first); }) > 0) {
    emit_nodes();
  }
  maybe_synced();
}

void KubernetesSource::listed(const plan::PodObject*, std::set<std::string> keys) {
  const auto changed = pods_.keep_only(keys);
  if (listed_.insert(kube::kPods).second) {
    for (const auto& [key, service] : services_) emit(key);
  } else {
    emit_owners(changed);
  }
  maybe_synced();
}

std::vector<plan::EndpointSliceObject> KubernetesSource::slices_of(
    const std::string& service_key) const {
  std::vector<plan::EndpointSliceObject> out;
  if (const auto keys = slices_of_.find(service_key); keys != slices_of_.end()) {
    for (const auto& key : keys->second) out.push_back(slices_.at(key));
  }
  return out;
}

// Nothing is said before the first list is whole: some of them would look like all.
void KubernetesSource::tell_followed() {
  if (!options_.on_followed || !listed_.contains(kube::kEndpointSlices)) return;
  options_.on_followed(slices_of(options_.followed));
}

void KubernetesSource::emit(const std::string& service_key) {
  if (service_key == options_.followed) tell_followed();
  const auto service = services_.find(service_key);
  if (service == services_.end() || !may_emit()) return;
  sink_.upsert(plan::from_kubernetes(service->second, slices_of(service_key),
                                     nodes_for(service->second),
                                     options_.strict_endpoints ? &pods_.all() : nullptr));
}

bool KubernetesSource::may_emit() const {
  return !options_.strict_endpoints || listed_.contains(kube::kPods);
}

void KubernetesSource::emit_owners(const std::set<std::string>& slices) {
  if (!may_emit()) return;
  std::set<std::string> owners;
  for (const auto& key : slices) owners.insert(owner_of(slices_.at(key)));
  for (const auto& owner : owners) emit(owner);
}

std::vector<plan::NodeObject> KubernetesSource::nodes_for(const plan::ServiceObject& service) {
  const std::string key = plan::kubernetes_key(service.meta.ns, service.meta.name);
  std::vector<plan::Problem> elsewhere;
  if (!plan::targets_nodes(service, elsewhere)) {
    on_nodes_.erase(key);
    return {};
  }
  on_nodes_.insert(key);
  std::vector<plan::NodeObject> out;
  for (const auto& [name, node] : nodes_) out.push_back(node);
  return out;
}

void KubernetesSource::emit_nodes() {
  std::set<IpAddress> addresses;
  for (const auto& [name, node] : nodes_) {
    for (const auto& each : node.addresses) {
      if (const auto address = IpAddress::parse(each.address)) addresses.insert(*address);
    }
  }
  sink_.nodes(std::move(addresses));
  for (const auto& key : std::set<std::string>(on_nodes_)) emit(key);
}

void KubernetesSource::maybe_synced() {
  if (listed_.size() < reflectors_.size()) return;
  std::set<std::string> keys;
  for (const auto& [key, service] : services_) keys.insert(key);
  sink_.synced(prefix(), keys);
}

void KubernetesSource::trouble(const std::string& path, std::optional<Error> error) {
  if (error) {
    troubled_.insert(path);
    sink_.freshness(prefix() + path, std::move(error));
  } else if (troubled_.erase(path) > 0) {
    sink_.freshness(prefix() + path, std::nullopt);
  }
}

}  // namespace lb::sources
