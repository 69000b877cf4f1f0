// What a fuzz target of this directory consists of. A target aborts when an invariant is broken.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

/// One input; always returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace artifactfs::testing {

/// Valid inputs, to mutate.
std::vector<std::string> fuzz_seeds();

inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken invariant: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace artifactfs::testing
