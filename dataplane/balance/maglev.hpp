// Consistent hashing of the client's address, with bounded load.
//
// A client keeps its backend as long as that may be picked. Else, and where the backend has more
// than 1.25 times its fair share of the selected ones' connections, or starts slowly and this
// client is not yet of its part, the flow goes to the next in an order that the client's hash
// gives: the same for the same facts, and nobody else's flow moves. A backend that has one
// connection at most is never too loaded. `identity`, `connections` and `client_hash` are needed.
#pragma once

#include "dataplane/balance/maglev_table.hpp"
#include "dataplane/balance/picker.hpp"

namespace lb::balance {

class Maglev final : public Picker {
 public:
  std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                             const PickOptions& options) override;

 private:
  MaglevTable table_;
};

}  // namespace lb::balance
