// Drawing one of the selected at random, each as likely as its weight is wide. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/balance/selection.hpp"

namespace lb::balance {

inline constexpr size_t kNobody = SIZE_MAX;

// The effective weight of the selected together.
uint64_t selected_weight(std::span<const Candidate> candidates, const Selection& selection);

// Who owns point `at` when the selected but for `except` stand side by side, each as wide as its
// weight. `at` is less than their sum; kNobody where there are none.
size_t draw(std::span<const Candidate> candidates, const Selection& selection, size_t except,
            uint64_t at);

}  // namespace lb::balance
