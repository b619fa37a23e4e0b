// First a group of backends by the groups' weights, then one of its backends by the policy.
//
// So a share holds while backends come and go. Those groups take part whose best backends are as
// good as anybody's (Selection::rank): one whose backends are all gone, called down or ejected
// leaves its share to the others for as long, and drains only where all do. Whom PickInput::group
// names goes there before all others, a weight of 0 notwithstanding. Who is sticky goes where a
// weighted rendezvous sends it (Thaler and Ravishankar, 1998; the logarithm of the weighted form
// keeps shares exact): the same on every data plane, and when weights change only those move who
// must. All others go round by smooth weighted rotation. Panic and zones count within each group.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/balance/picker.hpp"
#include "dataplane/balance/rotation.hpp"

namespace lb::balance {

class Grouped final : public Picker {
 public:
  // `groups` is not empty.
  Grouped(Balance policy, size_t offset, std::span<const GroupShare> groups);

  std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                             const PickOptions& options) override;

 private:
  struct Group {
    std::unique_ptr<Picker> picker;
    std::vector<Candidate> members;  // of this pick, as is the next one
    std::vector<size_t> indices;
    unsigned rank = 0;
  };

  void divide(std::span<const Candidate> candidates, const PickOptions& options);
  std::optional<size_t> choose(const PickInput& input);
  std::optional<size_t> rendezvous(uint64_t client) const;

  std::vector<Group> groups_;
  std::vector<Candidate> shares_;  // one for each group; ejected: takes no part in this pick
  Rotation rotation_;
  uint64_t total_weight_ = 0;
};

}  // namespace lb::balance
