// What stands between a reflector and the source that it feeds: objects are decoded on the
// reflector's thread and handed over on the source's, in the order in which they came.
//
// Source is told by put(Object), listed(tag, keys), erase(tag, key), refuse(tag, name, why) and
// trouble(path, trouble), where a tag is a null `const Object*`; its Decoder has decode(tag, JSON)
// for text and for what was parsed already, and key_of(tag, namespace, name). An object that cannot
// be read is logged and refused, and what is known of it stays. The source outlives the reflector,
// and the feed with it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/net/asio.hpp"
#include "common/ops/log.hpp"
#include "controller/kube/reflector.hpp"

namespace lb::sources {

template <class Object, class Source, class Decoder>
class ObjectFeed : public kube::ReflectorSink {
 public:
  ObjectFeed(asio::io_context& io, Source& source, std::string path)
      : io_(io), source_(source), path_(std::move(path)) {}

  void replaced(std::vector<kube::Item> all) override {
    std::vector<Object> objects;
    std::set<std::string> keys;
    for (const auto& item : all) {
      keys.insert(Decoder::key_of(kTag, item.ns, item.name));
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
    post([this, key = Decoder::key_of(kTag, ns, name)] { source_.erase(kTag, key); });
  }
  void connection(std::optional<Error> trouble) override {
    post([this, trouble = std::move(trouble)] { source_.trouble(path_, trouble); });
  }

 private:
  static constexpr const Object* kTag = nullptr;

  std::optional<Object> decoded(const kube::Item& item) {
    auto object =
        item.parsed ? Decoder::decode(kTag, *item.parsed) : Decoder::decode(kTag, item.json);
    if (object) return std::move(object).value();
    const std::string name = item.ns.empty() ? item.name : item.ns + "/" + item.name;
    ops::log(ops::Level::kError, object.error().message,
             {{"reason", object.error().code},
              {"object", path_ + "/" + name},
              {"pointer", object.error().pointer}});
    post([this, name = item.name, why = object.error().message] {
      source_.refuse(kTag, name, why);
    });
    return std::nullopt;
  }

  template <class Task>
  void post(Task task) {
    asio::post(io_, std::move(task));
  }

  asio::io_context& io_;
  Source& source_;
  const std::string path_;
};

}  // namespace lb::sources
