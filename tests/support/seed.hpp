// The seed of a test's random numbers: EMPALME_SEED where it is set, which repeats a failing run,
// and otherwise another one in each process. A test prints it where it fails.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace lb::test {

inline uint32_t seed() {
  const char* given = std::getenv("EMPALME_SEED");
  static const uint32_t kSeed = given != nullptr
                                    ? static_cast<uint32_t>(std::strtoull(given, nullptr, 10))
                                    : std::random_device{}();
  return kSeed;
}

}  // namespace lb::test
