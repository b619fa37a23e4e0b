// What every fuzz target includes: the entry that libFuzzer calls, and how to say what must hold.
//
// A target is one file that defines LLVMFuzzerTestOneInput and returns 0; it must neither keep
// state between inputs nor touch the network beyond this process. With clang (preset build-fuzz)
// libFuzzer drives it; in every other build replay.cpp runs the committed corpus through it, so
// that a finding, added to the corpus, stays a test. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace lb::fuzz {

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Ends the process with `law` on standard error when it does not hold: libFuzzer keeps the input.
inline void must(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

}  // namespace lb::fuzz
