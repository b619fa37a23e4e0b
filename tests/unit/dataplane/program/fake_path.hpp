// A byte path that records what it is asked to apply and answers when the test says so.
#pragma once

#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class FakePath : public proxy::DataPath {
 public:
  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override {
    if (std::exchange(out_of_memory, false)) throw std::bad_alloc();
    open.clear();
    for (const auto& service : state->services) {
      for (const auto& address : service.addresses) {
        for (const auto& port : service.ports) open.insert({{address, port.port}, port.protocol});
      }
    }
    for (const auto& id : closed) open.erase(id);
    applied.push_back(std::move(state));
    if (at_once) return done({});
    pending = std::move(done);
  }
  void complete(std::vector<Failure> failed = {}) { std::exchange(pending, {})(std::move(failed)); }
  std::vector<proxy::ServiceStatus> status() const override {
    ++whole_looks;
    return live;
  }
  std::vector<proxy::ServiceStatus> status_of(const std::set<std::string>& keys) const override {
    looked_at.push_back(keys);
    auto out = live;
    std::erase_if(out, [&](const auto& each) { return !keys.contains(each.key); });
    return out;
  }
  proxy::DataPathCounters counters() const override { return counted; }
  std::vector<Failure> failures() const override { return failing; }
  std::set<proxy::ListenerId> listening() const override { return open; }
  void set_drains(std::set<proxy::Drain> wanted, std::function<void()> done) override {
    drains = std::move(wanted);
    done();
  }
  void flows(proxy::FlowFilter wanted,
             std::function<void(std::vector<proxy::Flow>)> done) override {
    filter = std::move(wanted);
    done(live_flows);
  }
  void kill(uint64_t id, std::function<void(bool)> done) override {
    killed.push_back(id);
    done(!live_flows.empty() && live_flows.front().id == id);
  }
  std::vector<proxy::PortTotals> totals() const override { return ports; }
  void set_health(const proxy::BackendId& backend, proxy::Health health,
                  std::string reason) override {
    healths[backend] = {health, std::move(reason)};
  }
  void avoid_sources(const std::set<IpAddress>& ours) override { avoided = ours; }
  std::set<IpAddress> addresses_in_use() const override { return in_use; }
  void drain(unsigned, std::function<void()> done) override { done(); }
  void stop() override { stopped = true; }

  void lose() { std::exchange(pending, {}); }

  mutable size_t whole_looks = 0;
  mutable std::vector<std::set<std::string>> looked_at;
  bool at_once = true;
  bool out_of_memory = false;  // for the next apply
  bool stopped = false;
  std::vector<std::shared_ptr<const DesiredState>> applied;
  std::function<void(std::vector<Failure>)> pending;
  std::vector<proxy::ServiceStatus> live;
  proxy::DataPathCounters counted;
  std::set<IpAddress> in_use;
  std::set<IpAddress> avoided;
  std::set<proxy::Drain> drains;
  proxy::FlowFilter filter;
  std::vector<proxy::Flow> live_flows;
  std::vector<uint64_t> killed;
  std::vector<proxy::PortTotals> ports;
  std::map<proxy::BackendId, std::pair<proxy::Health, std::string>> healths;
  std::set<proxy::ListenerId> open;  // grows with what is applied, but for `closed`
  std::set<proxy::ListenerId> closed;
  std::vector<Failure> failing;
};

inline IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

// One service on port 80, with backends on port 8080.
inline Service service(const std::string& key, const char* address,
                       std::vector<const char*> backends = {}) {
  Service out;
  out.key = key;
  out.addresses.push_back(ip(address));
  ServicePort port;
  port.port = 80;
  for (const char* backend : backends) {
    port.backends.emplace_back().address = ip(backend);
    port.backends.back().port = 8080;
  }
  out.ports.push_back(std::move(port));
  return out;
}

}  // namespace lb::dataplane
