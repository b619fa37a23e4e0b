// A docker source that follows a fake daemon, and what it says.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "controller/sources/docker_source.hpp"
#include "tests/support/fake_docker.hpp"
#include "tests/unit/controller/sources/source_rig.hpp"

namespace lb::sources::test_rig {

using namespace std::chrono_literals;
using test::FakeContainer;

inline constexpr char kWeb[] = R"("empalme.enable":"true","empalme.tcp.80.target":"8080",)"
                               R"("empalme.service":"web")";

inline FakeContainer web(int index) {
  FakeContainer out;
  out.address = "10.0." + std::to_string(index / 250) + "." + std::to_string(index % 250 + 1);
  out.labels = kWeb;
  return out;
}

// A service of its own for each.
inline FakeContainer single(int index) {
  FakeContainer out = web(index);
  out.labels = R"("empalme.enable":"true","empalme.tcp.)" + std::to_string(1000 + index) +
               R"(.target":"8080")";
  return out;
}

class DockerSourceTest : public SourceRig<DockerSource, test::FakeDocker> {
 protected:
  DockerSourceTest() : SourceRig("docker/") {
    options_.ping_interval = 50ms;
    options_.ping_timeout = 300ms;
    options_.list_timeout = 300ms;
    options_.list_pause = 5ms;
    options_.first_retry = 10ms;
    options_.last_retry = 40ms;
  }

  test::FakeDocker& docker_ = fake_;
};

}  // namespace lb::sources::test_rig
