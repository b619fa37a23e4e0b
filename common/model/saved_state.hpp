// A state that a program of ours has written for itself, perhaps a later version of it.
//
// The wire is strict, since its sender is there to hear the refusal; who reads what was saved has
// nobody to ask, and serving most of it is better than nothing. Fields and choices that this
// version does not know are passed over, as a controller leaves out what a data plane does not
// list; a service that cannot be read otherwise is left out alone. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb {

struct SavedState {
  // Where anything was passed over its generation is one less than was saved, so that whoever wrote
  // it finds that this is another document, and sends it again.
  DesiredState state;
  std::vector<Error> passed_over;  // what and where, in the order of the document
};

// Errors as decode_state() for what is no state document at all.
Result<SavedState> decode_saved_state(std::string_view text);

}  // namespace lb
