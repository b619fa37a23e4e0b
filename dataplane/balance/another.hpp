// Where a connection goes whose dial has failed.
//
// Backends stand in the order of their addresses, and those of one node or rack fail together: the
// next in turn is the likeliest to have failed too. So another node comes first, and among what is
// left the draw is at random, by weight; the tiers of selection.hpp hold as for any pick. The least
// loaded is not preferred: whoever takes no connection has none. Pure; leave_out_nodes() allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/balance/candidate.hpp"
#include "dataplane/balance/picker.hpp"

namespace lb::balance {

// Marks as tried whoever is on the node of one that was, as long as that leaves somebody of the
// same tier. `nodes`: one number for each candidate, 0 for an unknown node; or none at all.
void leave_out_nodes(std::span<Candidate> candidates, std::span<const uint32_t> nodes,
                     const PickOptions& options);

// For a retry where there are groups: takes the weight of everybody of other groups, as long as
// somebody ready, not ejected and not called down is left in this one. False: nobody is.
bool stay_in_group(std::span<Candidate> candidates, uint16_t group);

// `random`: 64 fresh random bits. Nullopt when nobody is left.
std::optional<size_t> draw_another(std::span<const Candidate> candidates, uint64_t random,
                                   const PickOptions& options);

}  // namespace lb::balance
