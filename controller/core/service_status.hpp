// What the status of a Service should say, and which write brings it there. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/core/plan.hpp"

namespace lb::plan {

// nullopt leaves the ingress list as it is.
struct StatusWish {
  std::optional<std::vector<Ingress>> ingress;
  std::vector<Condition> conditions;
};

struct ServedFacts {
  const SourceService& source;
  const std::vector<IpAddress>& addresses;  // in the order of the Service's families
  const std::vector<Problem>& problems;
  const std::vector<Failure>& failures;
  const HealthView& health;
};

// The data plane has confirmed what is published.
StatusWish served_status(const ServedFacts& facts);
// It cannot be served at all, for the first of these problems that matters.
StatusWish refused_status(const std::vector<Problem>& problems);

// Adds to `patch` what differs from the status that is there, and the events that tell of it.
void add_changes(ServicePatch& patch, const KubeMeta& meta, const StatusWish& wish,
                 std::vector<PlannedEvent>& events);
// Takes away what we wrote.
void clear_status(ServicePatch& patch, const KubeMeta& meta);

}  // namespace lb::plan
