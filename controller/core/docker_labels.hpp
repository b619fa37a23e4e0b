// What a container asks for by its labels: empalme.enable, empalme.tcp.<port>.<field> and so on.
//
// The fields of a port, and what becomes of those that cannot be read, are LabelReader's. A
// container that says traefik.enable=true and nothing of empalme.tcp or empalme.udp has the ports
// of its Traefik services. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/core/backends.hpp"
#include "controller/core/docker_containers.hpp"
#include "controller/core/label_reader.hpp"

namespace lb::plan {

struct ContainerLabels {
  std::string key;      // of the service: "docker/PROJECT/SERVICE", "docker/NAME"
  std::string project;  // of compose; may be empty
  std::string network;  // empty: not said
  std::vector<LabelledPort> ports;
  std::vector<Problem> problems;

  bool operator==(const ContainerLabels&) const = default;
};

// Nullopt: it has not asked to be served. One-off containers of compose ("run") carry the labels
// of their service and are none of it.
std::optional<ContainerLabels> read_labels(const Container& container);

}  // namespace lb::plan
