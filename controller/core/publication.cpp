#include "controller/core/publication.hpp"

#include <algorithm>

namespace lb::plan {
namespace {

bool same(const ServicePtr& a, const ServicePtr& b) { return a == b || (a && b && *a == *b); }

// Among equals the first wins, and those that answer come before the others.
ServicePtr held_by_most(const std::vector<HeldBy>& planes) {
  ServicePtr best;
  size_t best_votes = 0;
  for (const HeldBy& candidate : planes) {
    if (!candidate.service) continue;
    size_t votes = 0;
    for (const HeldBy& each : planes) {
      if (same(each.service, candidate.service))
        votes += each.reach == Reach::kAnswers ? planes.size() : 1;
    }
    if (votes <= best_votes) continue;
    best = candidate.service;
    best_votes = votes;
  }
  return best;
}

}  // namespace

bool Publication::operator==(const Publication& other) const {
  return same(service, other.service) && confirmed == other.confirmed && served == other.served &&
         unreachable == other.unreachable;
}

std::optional<Publication> publication_of(const std::vector<HeldBy>& planes) {
  Publication out;
  out.service = held_by_most(planes);
  if (!out.service) return std::nullopt;
  size_t answering = 0, agreeing = 0;
  out.served = false;
  for (const HeldBy& plane : planes) {
    const bool answers = plane.reach == Reach::kAnswers;
    answering += answers;
    agreeing += answers && same(plane.service, out.service);
    out.served = out.served || (plane.service && plane.reach != Reach::kLost);
    out.unreachable = out.unreachable || (plane.service && plane.reach == Reach::kLost);
  }
  out.confirmed = agreeing * 2 > answering;
  return out;
}

}  // namespace lb::plan
