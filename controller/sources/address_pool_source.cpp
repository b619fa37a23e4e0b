#include "controller/sources/address_pool_source.hpp"

#include "common/ops/log.hpp"
#include "controller/core/parsed_objects.hpp"
#include "controller/kube/api_requests.hpp"
#include "controller/sources/object_feed.hpp"

namespace lb::sources {
namespace {

struct Decoder {
  template <class Object>
  static std::string key_of(const Object*, const std::string&, const std::string& name) {
    return name;
  }
  static Result<plan::Pool> decode(const plan::Pool*, const std::string& json) {
    return plan::decode_pool(json);
  }
  static Result<plan::NamespaceObject> decode(const plan::NamespaceObject*,
                                              const std::string& json) {
    return plan::decode_namespace(json);
  }
  static Result<plan::Pool> decode(const plan::Pool*, const nlohmann::json& parsed) {
    return plan::pool_from(parsed);
  }
  static Result<plan::NamespaceObject> decode(const plan::NamespaceObject*,
                                              const nlohmann::json& parsed) {
    return plan::namespace_from(parsed);
  }
};

template <class Object>
using Feed = ObjectFeed<Object, AddressPoolSource, Decoder>;

}  // namespace

AddressPoolSource::AddressPoolSource(asio::io_context& io, Options options, PoolSink& sink)
    : io_(io), sink_(sink) {
  feeds_.push_back(std::make_unique<Feed<plan::Pool>>(io_, *this, kube::kAddressPools));
  feeds_.push_back(std::make_unique<Feed<plan::NamespaceObject>>(io_, *this, kube::kNamespaces));
  const char* paths[] = {kube::kAddressPools, kube::kNamespaces};
  for (size_t i = 0; i < feeds_.size(); ++i) {
    reflectors_.push_back(std::make_unique<kube::Reflector>(
        kube::Reflector::Options{paths[i], options.make_client, options.on_unauthorized},
        *feeds_[i]));
  }
}

AddressPoolSource::~AddressPoolSource() { stop(); }

void AddressPoolSource::start() {
  for (auto& reflector : reflectors_) reflector->start();
}

void AddressPoolSource::stop() {
  for (auto& reflector : reflectors_) reflector->stop();
}

void AddressPoolSource::put(plan::Pool pool) {
  const std::string name = pool.name;
  pools_[name] = std::move(pool);
  emit_pools();
}

void AddressPoolSource::put(plan::NamespaceObject ns) {
  auto& held = namespaces_[ns.meta.name];
  if (complete() && held == ns.meta.labels) return;
  held = std::move(ns.meta.labels);
  emit_namespaces();
}

void AddressPoolSource::refuse(const plan::Pool*, const std::string& name, const std::string& why) {
  pools_[name].name = name;
  pools_[name].fault = why;
  emit_pools();
}

void AddressPoolSource::erase(const plan::Pool*, const std::string& name) {
  if (pools_.erase(name) > 0) emit_pools();
}

void AddressPoolSource::erase(const plan::NamespaceObject*, const std::string& name) {
  if (namespaces_.erase(name) > 0) emit_namespaces();
}

void AddressPoolSource::listed(const plan::Pool*, const std::set<std::string>& names) {
  std::erase_if(pools_, [&](const auto& each) { return !names.contains(each.first); });
  pools_listed_ = true;
  emit_all();
}

void AddressPoolSource::listed(const plan::NamespaceObject*, const std::set<std::string>& names) {
  std::erase_if(namespaces_, [&](const auto& each) { return !names.contains(each.first); });
  namespaces_listed_ = true;
  emit_all();
}

void AddressPoolSource::emit_all() {
  emit_namespaces();
  emit_pools();
}

void AddressPoolSource::emit_namespaces() {
  if (complete()) sink_.namespaces(namespaces_);
}

void AddressPoolSource::emit_pools() {
  if (!complete()) return;
  std::vector<plan::Pool> all;
  for (const auto& [name, pool] : pools_) all.push_back(pool);
  sink_.pools(std::move(all));
}

// A cluster that has never had the resource is whole without it.
void AddressPoolSource::trouble(const std::string& path, std::optional<Error> error) {
  const bool of_pools = path == kube::kAddressPools;
  const bool known = of_pools ? !pools_.empty() : !namespaces_.empty();
  if (error && error->code == "NotFound" && !known) {
    bool& listed = of_pools ? pools_listed_ : namespaces_listed_;
    if (!std::exchange(listed, true)) {
      ops::log(ops::Level::kInfo, "the cluster does not know " + path);
      emit_all();
    }
    error.reset();
  }
  if (error) {
    troubled_.insert(path);
    sink_.freshness("kubernetes/" + path, std::move(error));
  } else if (troubled_.erase(path) > 0) {
    sink_.freshness("kubernetes/" + path, std::nullopt);
  }
}

}  // namespace lb::sources
