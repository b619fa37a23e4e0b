// AddressPools of a Kubernetes cluster, and the labels of its namespaces by which pools select.
//
// Lives on the io_context's thread; the two reflectors' threads only decode and post. Says nothing
// until both are listed, then all pools at once after each change. A cluster without the
// CustomResourceDefinition (404) has no pools: that is asked again calmly and is not staleness. A
// pool that cannot be read stays as it was known, with its fault and a line in the log.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/core/objects.hpp"
#include "controller/core/pool.hpp"
#include "controller/kube/reflector.hpp"

namespace lb::sources {

template <class Object, class Source, class Decoder>
class ObjectFeed;

class PoolSink {
 public:
  virtual ~PoolSink() = default;
  // By namespace; said before the first pools().
  virtual void namespaces(std::map<std::string, plan::Labels> labels) = 0;
  virtual void pools(std::vector<plan::Pool> all) = 0;
  virtual void freshness(const std::string& source, std::optional<Error> trouble) = 0;
};

class AddressPoolSource {
 public:
  struct Options {
    kube::HttpClientFactory make_client;
    std::function<void()> on_unauthorized;
  };

  AddressPoolSource(asio::io_context& io, Options options, PoolSink& sink);
  ~AddressPoolSource();

  void start();
  void stop();

  const std::vector<std::unique_ptr<kube::Reflector>>& reflectors() const { return reflectors_; }

 private:
  template <class Object, class Source, class Decoder>
  friend class ObjectFeed;

  void put(plan::Pool pool);
  void put(plan::NamespaceObject ns);
  void refuse(const plan::Pool*, const std::string& name, const std::string& why);
  // Its labels stay as they were.
  void refuse(const plan::NamespaceObject*, const std::string&, const std::string&) {}
  void erase(const plan::Pool*, const std::string& name);
  void erase(const plan::NamespaceObject*, const std::string& name);
  void listed(const plan::Pool*, const std::set<std::string>& names);
  void listed(const plan::NamespaceObject*, const std::set<std::string>& names);
  void trouble(const std::string& path, std::optional<Error> error);
  bool complete() const { return pools_listed_ && namespaces_listed_; }
  void emit_pools();
  void emit_namespaces();
  void emit_all();

  asio::io_context& io_;
  PoolSink& sink_;
  std::vector<std::unique_ptr<kube::ReflectorSink>> feeds_;
  std::vector<std::unique_ptr<kube::Reflector>> reflectors_;
  std::map<std::string, plan::Pool> pools_;
  std::map<std::string, plan::Labels> namespaces_;
  std::set<std::string> troubled_;
  bool pools_listed_ = false;
  bool namespaces_listed_ = false;
};

}  // namespace lb::sources
