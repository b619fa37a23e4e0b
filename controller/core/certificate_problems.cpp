#include "controller/core/certificate_problems.hpp"

namespace lb::plan {
namespace {

const std::string kBegins = "certificate ";

}  // namespace

bool is_of_certificate(const Problem& problem) { return problem.message.starts_with(kBegins); }

std::vector<Problem> problems_of(const World& world, const SourceService& service) {
  std::vector<Problem> out = service.problems;
  if (world.certificate_troubles.empty()) return out;
  for (const auto& name : certificates_of(service.ports)) {
    const auto trouble = world.certificate_troubles.find(name);
    if (trouble == world.certificate_troubles.end()) continue;
    out.push_back({trouble->second.code, kBegins + name + ": " + trouble->second.message});
  }
  return out;
}

}  // namespace lb::plan
