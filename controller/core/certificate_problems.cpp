#include "controller/core/certificate_problems.hpp"

namespace lb::plan {

std::vector<Problem> problems_of(const World& world, const SourceService& service) {
  std::vector<Problem> out = service.problems;
  if (world.certificate_troubles.empty()) return out;
  for (const auto& name : certificates_of(service.ports)) {
    const auto trouble = world.certificate_troubles.find(name);
    if (trouble == world.certificate_troubles.end()) continue;
    out.push_back({trouble->second.code, "certificate " + name + ": " + trouble->second.message});
  }
  return out;
}

}  // namespace lb::plan
