// Begins the right kind of probe for a check, and holds what probes share: deadlines, the source
// address, OpenSSL's context (made when the first TLS probe begins).
//
// One thread, that of the io_context. Must outlive what it begins until that has reported or is
// cancelled. No errors but in the probe's result.
#pragma once

#include <memory>
#include <optional>

#include "dataplane/health/probe.hpp"
#include "dataplane/health/tls_probe.hpp"

namespace lb::health {

class ProbeStarter {
 public:
  explicit ProbeStarter(asio::io_context& io, std::optional<IpAddress> source = std::nullopt,
                        int descriptor_line = INT_MAX);

  // `done` is called once, later. Null, and no call, for type kNone.
  std::shared_ptr<Probe> begin(const Check& check, Probe::Done done);

  TimerQueue& timers() { return timers_; }

 private:
  std::shared_ptr<Probe> make(const Check& check, Probe::Done done);
  const std::shared_ptr<TlsContext>& tls();

  TimerQueue timers_;
  ProbeSetting setting_;
  std::shared_ptr<TlsContext> tls_;
};

}  // namespace lb::health
