#include "dataplane/balance/maglev_table.hpp"

#include <algorithm>

#include "dataplane/balance/hash.hpp"

namespace lb::balance {
namespace {

constexpr uint32_t kSmall = 16'411;
constexpr uint32_t kLarge = 65'537;
constexpr uint32_t kSlotsEach = 100;
constexpr uint16_t kFree = UINT16_MAX;
constexpr size_t kMostMembers = kFree;
constexpr uint64_t kVisitsPerSlot = 16;
constexpr uint64_t kProgression = 64;

}  // namespace

struct MaglevTable::Member {
  uint64_t identity;
  uint16_t index;
  uint64_t claim;  // weight, then slots
  uint64_t taken = 0;
  uint64_t choices = 0;
  uint32_t next = 0;  // slot
  uint32_t step = 1;

  // Its first choice that is still free.
  void take(std::vector<uint16_t>& owners) {
    const auto size = uint32_t(owners.size());
    do choose(size);
    while (owners[next] != kFree);
    owners[next] = index;
    ++taken;
  }
  // The paper's order is one arithmetic progression. Now and then two of those run along each
  // other and many slots change hands at once; short ones cannot.
  void choose(uint32_t size) {
    if (choices++ % kProgression == 0) {
      const uint64_t start = mix(identity + choices * 0x9e3779b97f4a7c15);
      next = uint32_t(scale_to(start, size));
      step = uint32_t(1 + scale_to(mix(start), size - 1));
    } else {
      next += step;
      if (next >= size) next -= size;
    }
  }
};

bool MaglevTable::refresh(std::span<const Candidate> candidates) {
  if (still_true(candidates)) return false;
  build(candidates);
  return true;
}

bool MaglevTable::still_true(std::span<const Candidate> candidates) const {
  if (known_.size() != candidates.size()) return false;
  uint64_t differences = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    differences |= known_[i].identity ^ candidates[i].identity;
    differences |= uint64_t(known_[i].weight ^ candidates[i].weight);
  }
  return differences == 0;
}

void MaglevTable::build(std::span<const Candidate> candidates) {
  known_.clear();
  std::vector<Member> members;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    known_.push_back({candidate.identity, candidate.weight});
    if (candidate.weight == 0 || i >= kMostMembers) continue;
    members.push_back({candidate.identity, uint16_t(i), candidate.weight});
  }
  std::stable_sort(members.begin(), members.end(),
                   [](const Member& a, const Member& b) { return a.identity < b.identity; });
  const bool small = members.size() * kSlotsEach <= kSmall;
  owners_.assign(members.empty() ? 0 : small ? kSmall : kLarge, kFree);
  if (!members.empty()) fill(members);
}

// In as many rounds as the largest claim has slots, each member takes what is due by then, and at
// least one in the first. Fewer rounds where one very heavy member would make very many of them.
void MaglevTable::fill(std::vector<Member>& members) {
  const uint64_t size = owners_.size();
  uint64_t weight = 0, largest = 0;
  for (const Member& member : members) weight += member.claim;
  for (Member& member : members) {
    member.claim = std::max<uint64_t>(size * member.claim / weight, 1);
    largest = std::max(largest, member.claim);
  }
  const uint64_t rounds = std::clamp<uint64_t>(kVisitsPerSlot * size / members.size(), 1, largest);
  uint64_t left = size;
  for (uint64_t round = 1; left > 0; ++round) {
    for (Member& member : members) {
      const uint64_t due = (member.claim * round + rounds - 1) / rounds;
      for (; member.taken < due && left > 0; --left) member.take(owners_);
    }
  }
}

}  // namespace lb::balance
