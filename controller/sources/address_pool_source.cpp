#include "controller/sources/address_pool_source.hpp"

#include "common/ops/log.hpp"
#include "controller/kube/api_requests.hpp"

namespace lb::sources {
namespace {

Result<plan::Pool> decode(const plan::Pool*, const std::string& json) {
  return plan::decode_pool(json);
}
Result<plan::NamespaceObject> decode(const plan::NamespaceObject*, const std::string& json) {
  return plan::decode_namespace(json);
}

}  // namespace

// Decodes on the reflector's thread and hands over on the source's.
template <class Object>
class AddressPoolSource::Feed : public kube::ReflectorSink {
 public:
  Feed(AddressPoolSource& source, std::string path) : source_(source), path_(std::move(path)) {}

  void replaced(std::vector<kube::Item> all) override {
    std::vector<Object> objects;
    std::set<std::string> names;
    for (const auto& item : all) {
      names.insert(item.name);
      if (auto object = decoded(item)) objects.push_back(std::move(*object));
    }
    asio::post(source_.io_,
               [this, objects = std::move(objects), names = std::move(names)]() mutable {
                 for (auto& object : objects) source_.put(std::move(object));
                 source_.listed(kTag, names);
               });
  }
  void changed(kube::Item item) override {
    auto object = decoded(item);
    if (!object) return;
    asio::post(source_.io_,
               [this, object = std::move(*object)]() mutable { source_.put(std::move(object)); });
  }
  void removed(std::string, std::string name) override {
    asio::post(source_.io_, [this, name] { source_.erase(kTag, name); });
  }
  void connection(std::optional<Error> trouble) override {
    asio::post(source_.io_, [this, trouble] { source_.trouble(path_, trouble); });
  }

 private:
  static constexpr const Object* kTag = nullptr;

  std::optional<Object> decoded(const kube::Item& item) {
    auto object = decode(kTag, item.json);
    if (object) return std::move(object).value();
    ops::log(ops::Level::kError, object.error().message,
             {{"reason", object.error().code},
              {"object", path_ + "/" + item.name},
              {"pointer", object.error().pointer}});
    asio::post(source_.io_, [this, name = item.name, why = object.error().message] {
      source_.refuse(kTag, name, why);
    });
    return std::nullopt;
  }

  AddressPoolSource& source_;
  const std::string path_;
};

AddressPoolSource::AddressPoolSource(asio::io_context& io, Options options, PoolSink& sink)
    : io_(io), sink_(sink) {
  feeds_.push_back(std::make_unique<Feed<plan::Pool>>(*this, kube::kAddressPools));
  feeds_.push_back(std::make_unique<Feed<plan::NamespaceObject>>(*this, kube::kNamespaces));
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
