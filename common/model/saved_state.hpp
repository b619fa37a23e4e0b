// A state that a program of ours has written for itself, perhaps a later version of it.
//
// The wire is strict, since its sender is there to hear the refusal; who reads what was saved has
// nobody to ask, and serving most of it is better than nothing. What this version does not know is
// passed over, as state_reader.hpp says; so a policy that a later version added does not hold (a
// controller leaves it out as well, for a data plane that does not list it). A service that is
// wrong in what is known is left out alone. One pass. Pure; any thread.
#pragma once

#include <string_view>

#include "common/model/passed_over.hpp"
#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb {

struct SavedState {
  // Where anything was passed over its version is the one before the saved one, so that whoever
  // wrote it finds that this is another document, and sends it again.
  DesiredState state;
  PassedOver passed_over;
  PassedOver left_out;  // whole services, and why; counted in passed_over too
};

// Errors as decode_state() for what is no state document at all.
Result<SavedState> decode_saved_state(std::string_view text);

}  // namespace lb
