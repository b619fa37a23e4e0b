// The probe that is content with a connection. See probe.hpp.
#pragma once

#include "dataplane/health/probe.hpp"

namespace lb::health {

class TcpProbe : public Probe {
 public:
  using Probe::Probe;

 private:
  void connected() override { finish({}); }
};

}  // namespace lb::health
