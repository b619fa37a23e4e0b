// Containers for tests, said in a line each.
#pragma once

#include <string>
#include <utility>

#include "controller/core/docker_services.hpp"

namespace lb::plan::test {

class ContainerBuilder {
 public:
  explicit ContainerBuilder(const std::string& name) {
    out_.id = "id-" + name;
    out_.name = name;
    out_.state = "running";
    out_.created = 1000;
  }
  ContainerBuilder& label(const std::string& name, const std::string& value) {
    out_.labels[name] = value;
    return *this;
  }
  ContainerBuilder& enabled() { return label("empalme.enable", "true"); }
  // Of compose, in its default network.
  ContainerBuilder& of(const std::string& project, const std::string& service) {
    return label("com.docker.compose.project", project)
        .label("com.docker.compose.service", service);
  }
  // empalme.tcp.<port>.target; asks to be served.
  ContainerBuilder& tcp(const std::string& port, const std::string& target) {
    return enabled().label("empalme.tcp." + port + ".target", target);
  }
  ContainerBuilder& on(const std::string& network, const std::string& address) {
    auto& addresses = out_.networks[network];
    if (!address.empty()) addresses.push_back(IpAddress::parse(address).value());
    return *this;
  }
  ContainerBuilder& state(const std::string& state) { return out_.state = state, *this; }
  ContainerBuilder& health(ContainerHealth health) { return out_.health = health, *this; }
  ContainerBuilder& created(uint32_t at) { return out_.created = at, *this; }
  ContainerBuilder& id(const std::string& id) { return out_.id = id, *this; }
  ContainerBuilder& network_mode(const std::string& mode) {
    return out_.network_mode = mode, *this;
  }

  operator Container() const { return out_; }  // NOLINT(implicit)
  Container build() const { return out_; }

 private:
  Container out_;
};

inline ContainerBuilder container(const std::string& name) { return ContainerBuilder(name); }

// Those of them that are there and ask to be served.
inline std::vector<LabelledContainer> all(const std::vector<Container>& containers) {
  std::vector<LabelledContainer> out;
  for (const auto& each : containers) {
    if (auto known = labelled(each)) out.push_back(std::move(*known));
  }
  return out;
}

inline std::vector<SourceService> services(const std::vector<Container>& containers,
                                           const std::set<std::string>& draining = {}) {
  return services_of(all(containers), draining);
}

// "10.0.0.2:8080 ready" for each backend.
inline std::vector<std::string> backends(const ServicePort& port) {
  std::vector<std::string> out;
  for (const auto& backend : port.backends) {
    out.push_back(backend.endpoint().to_string() + " " + to_string(backend.state));
  }
  return out;
}

inline std::vector<std::string> messages(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& problem : problems) out.push_back(problem.message);
  return out;
}

inline std::vector<std::string> reasons(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& problem : problems) out.push_back(problem.reason);
  return out;
}

}  // namespace lb::plan::test
