// What the data planes together hold of one service, and whether that is enough to tell a user.
//
// Pure; any thread. A service counts as confirmed once more than half of the data planes that
// answer hold the same. Its address counts as served while any data plane that may still come back
// holds anything of it: only one that was given up no longer keeps a deletion waiting.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/model/state.hpp"

namespace lb::plan {

using ServicePtr = std::shared_ptr<const Service>;

enum class Reach : uint8_t {
  kAnswers,
  kSilent,  // for now
  kLost,    // for so long that nothing waits for it any more
};

struct HeldBy {
  Reach reach = Reach::kAnswers;
  ServicePtr service;  // null: nothing of this service
};

struct Publication {
  ServicePtr service;        // as the most hold it
  bool confirmed = true;     // by enough of those that answer
  bool served = true;        // by one that is not given up
  bool unreachable = false;  // one that is given up may serve it still

  bool operator==(const Publication& other) const;
};

// nullopt: nobody holds anything of it.
std::optional<Publication> publication_of(const std::vector<HeldBy>& planes);

}  // namespace lb::plan
