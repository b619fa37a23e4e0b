// Services of a Kubernetes cluster: three reflectors, joined into whole services.
//
// Lives on the io_context's thread; the reflectors' threads only decode and post. Synced once
// Services and EndpointSlices are listed (nodes too): no order holds between resources.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/kube/reflector.hpp"
#include "controller/sources/source.hpp"

namespace lb::sources {

class KubernetesSource : public Source {
 public:
  struct Options {
    kube::HttpClientFactory make_client;
    std::function<void()> on_unauthorized;
    bool watch_list = false;  // see kube::Reflector
  };

  KubernetesSource(asio::io_context& io, Options options, SourceSink& sink);
  ~KubernetesSource() override;

  std::string prefix() const override { return "kubernetes/"; }
  void start() override;
  void stop() override;

  const std::vector<std::unique_ptr<kube::Reflector>>& reflectors() const { return reflectors_; }

 private:
  template <class Object>
  class Feed;

  void put(plan::ServiceObject service);
  void put(plan::EndpointSliceObject slice);
  void put(plan::NodeObject node);
  void drop_service(const std::string& key);
  void drop_slice(const std::string& key);
  void drop_node(const std::string& key);
  void listed(const plan::ServiceObject*, std::set<std::string> keys);
  void listed(const plan::EndpointSliceObject*, std::set<std::string> keys);
  void listed(const plan::NodeObject*, std::set<std::string> keys);
  void erase(const plan::ServiceObject*, const std::string& key) { drop_service(key); }
  void erase(const plan::EndpointSliceObject*, const std::string& key) { drop_slice(key); }
  void erase(const plan::NodeObject*, const std::string& key) { drop_node(key); }
  void unlink_slice(const std::string& key);
  void emit(const std::string& service_key);
  void emit_nodes();
  std::vector<plan::NodeObject> nodes_for(const plan::ServiceObject& service);
  void maybe_synced();
  void trouble(const std::string& path, std::optional<Error> error);

  asio::io_context& io_;
  SourceSink& sink_;
  std::vector<std::unique_ptr<kube::ReflectorSink>> feeds_;
  std::vector<std::unique_ptr<kube::Reflector>> reflectors_;
  std::map<std::string, plan::ServiceObject> services_;      // by our key
  std::map<std::string, plan::EndpointSliceObject> slices_;  // by ns/name
  std::map<std::string, std::set<std::string>> slices_of_;   // service key -> slice keys
  std::map<std::string, plan::NodeObject> nodes_;
  std::set<std::string> on_nodes_;  // keys of Services whose targets are nodes
  std::set<std::string> listed_;
  std::set<std::string> troubled_;
};

}  // namespace lb::sources
