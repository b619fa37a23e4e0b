// Services made of labelled containers: those with one key are one service, and each container is
// a backend of it.
//
// How they become one is merge_labelled()'s. Pure; any thread; the same containers in any order
// give the same services.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "controller/core/docker_containers.hpp"
#include "controller/core/docker_labels.hpp"
#include "controller/core/source_service.hpp"

namespace lb::plan {

struct LabelledContainer {
  Container container;
  ContainerLabels labels;

  bool operator==(const LabelledContainer&) const = default;
};

// Nullopt: it has ended, or has not asked to be served.
std::optional<LabelledContainer> labelled(Container container);

// Sorted by key. `draining`: ids of containers that have been asked to end.
std::vector<SourceService> services_of(const std::vector<LabelledContainer>& containers,
                                       const std::set<std::string>& draining = {});

}  // namespace lb::plan
