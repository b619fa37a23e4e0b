#include "controller/sources/kubernetes_source.hpp"

#include "common/ops/log.hpp"
#include "controller/core/node_targets.hpp"
#include "controller/kube/api_requests.hpp"

namespace lb::sources {
namespace {

constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
constexpr size_t kResources = 3;

std::string slice_key(const std::string& ns, const std::string& name) { return ns + "/" + name; }

// Empty: nobody's.
std::string owner_of(const plan::EndpointSliceObject& slice) {
  const auto label = slice.meta.labels.find(kServiceNameLabel);
  return label == slice.meta.labels.end() ? std::string{}
                                          : plan::kubernetes_key(slice.meta.ns, label->second);
}

std::string key_of(const plan::ServiceObject*, const std::string& ns, const std::string& name) {
  return plan::kubernetes_key(ns, name);
}
std::string key_of(const plan::EndpointSliceObject*, const std::string& ns,
                   const std::string& name) {
  return slice_key(ns, name);
}
std::string key_of(const plan::NodeObject*, const std::string&, const std::string& name) {
  return name;
}

Result<plan::ServiceObject> decode(const plan::ServiceObject*, const std::string& json) {
  return plan::decode_service(json);
}
Result<plan::EndpointSliceObject> decode(const plan::EndpointSliceObject*,
                                         const std::string& json) {
  return plan::decode_endpoint_slice(json);
}
Result<plan::NodeObject> decode(const plan::NodeObject*, const std::string& json) {
  return plan::decode_node(json);
}

}  // namespace

// Decodes on the reflector's thread and hands over on the source's.
template <class Object>
class KubernetesSource::Feed : public kube::ReflectorSink {
 public:
  Feed(KubernetesSource& source, std::string path) : source_(source), path_(std::move(path)) {}

  void replaced(std::vector<kube::Item> all) override {
    std::vector<Object> objects;
    std::set<std::string> keys;
    for (const auto& item : all) {
      keys.insert(key_of(kTag, item.ns, item.name));
      if (auto object = decoded(item)) objects.push_back(std::move(*object));
    }
    post([this, objects = std::move(objects), keys = std::move(keys)]() mutable {
      for (auto& object : objects) source_.put(std::move(object));
      source_.listed(kTag, std::move(keys));
    });
  }
  void changed(kube::Item item) override {
    auto object = decoded(item);
    if (!object) return;
    post([this, object = std::move(*object)]() mutable { source_.put(std::move(object)); });
  }
  void removed(std::string ns, std::string name) override {
    post([this, key = key_of(kTag, ns, name)] { source_.erase(kTag, key); });
  }
  void connection(std::optional<Error> trouble) override {
    post([this, trouble = std::move(trouble)] { source_.trouble(path_, trouble); });
  }

 private:
  static constexpr const Object* kTag = nullptr;

  // An object that cannot be read keeps what is known of it.
  std::optional<Object> decoded(const kube::Item& item) {
    auto object = decode(kTag, item.json);
    if (object) return std::move(object).value();
    ops::log(ops::Level::kError, object.error().message,
             {{"reason", object.error().code},
              {"object", path_ + "/" + item.ns + "/" + item.name},
              {"pointer", object.error().pointer}});
    return std::nullopt;
  }

  template <class Task>
  void post(Task task) {
    asio::post(source_.io_, std::move(task));
  }

  KubernetesSource& source_;
  const std::string path_;
};

KubernetesSource::KubernetesSource(asio::io_context& io, Options options, SourceSink& sink)
    : io_(io), sink_(sink) {
  feeds_.push_back(std::make_unique<Feed<plan::ServiceObject>>(*this, kube::kServices));
  feeds_.push_back(std::make_unique<Feed<plan::EndpointSliceObject>>(*this, kube::kEndpointSlices));
  feeds_.push_back(std::make_unique<Feed<plan::NodeObject>>(*this, kube::kNodes));
  const char* paths[kResources] = {kube::kServices, kube::kEndpointSlices, kube::kNodes};
  for (size_t i = 0; i < kResources; ++i) {
    reflectors_.push_back(std::make_unique<kube::Reflector>(
        kube::Reflector::Options{
            paths[i], options.make_client, options.on_unauthorized, {}, options.watch_list},
        *feeds_[i]));
  }
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

// Takes the slice from the service that has it; a slice may change hands.
void KubernetesSource::unlink_slice(const std::string& key) {
  const auto held = slices_.find(key);
  if (held == slices_.end()) return;
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
  maybe_synced();
}

void KubernetesSource::listed(const plan::NodeObject*, std::set<std::string> keys) {
  listed_.insert(kube::kNodes);
  if (std::erase_if(nodes_, [&](const auto& each) { return !keys.contains(each.first); }) > 0) {
    emit_nodes();
  }
  maybe_synced();
}

void KubernetesSource::emit(const std::string& service_key) {
  const auto service = services_.find(service_key);
  if (service == services_.end()) return;
  std::vector<plan::EndpointSliceObject> slices;
  if (const auto keys = slices_of_.find(service_key); keys != slices_of_.end()) {
    for (const auto& key : keys->second) slices.push_back(slices_.at(key));
  }
  sink_.upsert(plan::from_kubernetes(service->second, slices, nodes_for(service->second)));
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
  if (listed_.size() < kResources) return;
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
