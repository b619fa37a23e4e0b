#include "dataplane/proxy/hash_seed.hpp"

#include <random>

namespace lb::proxy {
namespace {

HashSeed draw_seed() {
  std::random_device source;
  const auto word = [&] { return uint64_t{source()} << 32 | source(); };
  return {word(), word()};
}

}  // namespace

const HashSeed& process_hash_seed() {
  static const HashSeed seed = draw_seed();
  return seed;
}

}  // namespace lb::proxy
