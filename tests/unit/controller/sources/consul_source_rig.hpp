// A consul source that follows a fake agent, and what it says.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "controller/sources/consul_source.hpp"
#include "tests/support/fake_consul.hpp"
#include "tests/unit/controller/sources/source_rig.hpp"

namespace lb::sources::test_rig {

using namespace std::chrono_literals;
using test::FakeInstance;

inline FakeInstance instance(int index, int port = 80) {
  FakeInstance out;
  out.address = "10.0." + std::to_string(index / 250) + "." + std::to_string(index % 250 + 1);
  out.tags = R"("empalme.enable=true","empalme.tcp.)" + std::to_string(port) + "\"";
  return out;
}

inline FakeInstance critical(int index) {
  FakeInstance out = instance(index);
  out.status = "critical";
  return out;
}

class ConsulSourceTest : public SourceRig<ConsulSource, test::FakeConsul> {
 protected:
  ConsulSourceTest() : SourceRig("consul/") {
    options_.watches.pause = 2ms;
    options_.catalogue_pause = 5ms;
    options_.ping_interval = 30ms;
    options_.ping_timeout = 300ms;
    options_.answer_timeout = 400ms;
    options_.first_retry = 10ms;
    options_.last_retry = 40ms;
    options_.doubt = 1ms;
  }

  test::FakeConsul& consul_ = fake_;
};

}  // namespace lb::sources::test_rig
