// Services of a Kubernetes cluster: three reflectors, joined into whole services.
//
// Lives on the io_context's thread; the reflectors' threads only decode and post. Synced once
// Services and EndpointSlices are listed (nodes too): no order holds between resources. With
// strict_endpoints a fourth one follows Pods, and nothing is said before they are listed, since
// without them every endpoint looks forged.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/kube/reflector.hpp"
#include "controller/sources/known_pods.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

template <class Object, class Source, class Decoder>
class ObjectFeed;

class KubernetesSource : public Source {
 public:
  struct Options {
    kube::HttpClientFactory make_client;
    std::function<void()> on_unauthorized;
    bool watch_list = false;  // see kube::Reflector
    // What is told of one Service's slices, whoever it belongs to: all of them, at each change and
    // once they are first listed.
    std::string followed = {};  // its key; empty: none
    std::function<void(const std::vector<plan::EndpointSliceObject>&)> on_followed = {};
    bool strict_endpoints = false;  // only Pods are backends: see plan::is_of_pod()
  };

  KubernetesSource(asio::io_context& io, Options options, SourceSink& sink);
  ~KubernetesSource() override;

  std::string prefix() const override { return "kubernetes/"; }
  void start() override;
  void stop() override;

  const std::vector<std::unique_ptr<kube::Reflector>>& reflectors() const { return reflectors_; }

 private:
  template <class Object, class Source, class Decoder>
  friend class ObjectFeed;

  template <class Object>
  void follow(const char* path);
  // What is known of it stays.
  template <class Object>
  void refuse(const Object*, const std::string&, const std::string&) {}

  void put(plan::ServiceObject service);
  void put(plan::EndpointSliceObject slice);
  void put(plan::NodeObject node);
  void put(plan::PodObject pod);
  void drop_service(const std::string& key);
  void drop_slice(const std::string& key);
  void drop_node(const std::string& key);
  void listed(const plan::ServiceObject*, std::set<std::string> keys);
  void listed(const plan::EndpointSliceObject*, std::set<std::string> keys);
  void listed(const plan::NodeObject*, std::set<std::string> keys);
  void listed(const plan::PodObject*, std::set<std::string> keys);
  void erase(const plan::ServiceObject*, const std::string& key) { drop_service(key); }
  void erase(const plan::EndpointSliceObject*, const std::string& key) { drop_slice(key); }
  void erase(const plan::NodeObject*, const std::string& key) { drop_node(key); }
  void erase(const plan::PodObject*, const std::string& key) { emit_owners(pods_.erase(key)); }
  void unlink_slice(const std::string& key);
  void emit(const std::string& service_key);
  void emit_owners(const std::set<std::string>& slices);
  bool may_emit() const;
  std::vector<plan::EndpointSliceObject> slices_of(const std::string& service_key) const;
  void tell_followed();
  void emit_nodes();
  std::vector<plan::NodeObject> nodes_for(const plan::ServiceObject& service);
  void maybe_synced();
  void trouble(const std::string& path, std::optional<Error> error);

  asio::io_context& io_;
  const Options options_;
  SourceSink& sink_;
  std::vector<std::unique_ptr<kube::ReflectorSink>> feeds_;
  std::vector<std::unique_ptr<kube::Reflector>> reflectors_;
  std::map<std::string, plan::ServiceObject> services_;      // by our key
  std::map<std::string, plan::EndpointSliceObject> slices_;  // by ns/name
  std::map<std::string, std::set<std::string>> slices_of_;   // service key -> slice keys
  std::map<std::string, plan::NodeObject> nodes_;
  KnownPods pods_;
  std::set<std::string> on_nodes_;  // keys of Services whose targets are nodes
  std::set<std::string> listed_;
  std::set<std::string> troubled_;
};

}  // namespace lb::sources
