// What is probed: one target and how. The unit that services share.
//
// Two services that ask the same thing of the same place make equal checks, so a set of checks
// holds each probe once. Plain values with a total order; any thread; no errors.
#pragma once

#include <compare>

#include "common/model/state.hpp"

namespace lb::health {

struct Check {
  Endpoint target;
  HealthPolicy policy;                        // port is 0: it is in `target`
  ProxyProtocol proxy = ProxyProtocol::kOff;  // the header that goes first

  bool operator==(const Check&) const = default;
  // By target, then by what is asked, then by the numbers (interval, timeout, rise, fall): checks
  // that differ only in numbers are neighbours.
  std::strong_ordering operator<=>(const Check& other) const;

  // True when both put the same question to the same target, however often.
  bool same_question(const Check& other) const;
};

// The check of a backend: its address with policy.port, or with its own port when that is 0.
// Fields that do not matter for policy.type get their default, so equal meaning is equal value.
// Type kNone yields a check that the prober ignores. The PROXY header of the service is sent only
// to the port that gets it from connections as well: a port just for checks speaks plainly.
Check check_of(const Endpoint& backend, const HealthPolicy& policy,
               ProxyProtocol proxy = ProxyProtocol::kOff);

}  // namespace lb::health
