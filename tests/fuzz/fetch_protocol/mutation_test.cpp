// Runs a fuzz target without libFuzzer: each seed, every prefix of the short ones, and thousands of seeded mutations.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "fuzz_target.h"

namespace artifactfs::testing {
namespace {

constexpr int kMutations = 4000;
constexpr size_t kMaxPrefixes = 2000;  // of one seed

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  std::string mutate(const std::vector<std::string>& seeds) {
    std::string input = seeds[below(seeds.size())];
    for (size_t n = 1 + below(4); n > 0; --n) {
      if (input.empty()) return input;
      change(input, seeds);
    }
    return input;
  }

 private:
  size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random_); }
  char interesting() {
    static constexpr char kBytes[] = {'\0', '\1', '\x7f', '\x80', '\xff', '0', 'f', '\n', ' '};
    return kBytes[below(sizeof kBytes)];
  }

  void change(std::string& input, const std::vector<std::string>& seeds) {
    const size_t at = below(input.size());
    const size_t length = std::min(1 + below(16), input.size() - at);
    switch (below(7)) {
      case 0:
        input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 1:
        input[at] = interesting();
        break;
      case 2:
        input.erase(at, length);
        break;
      case 3:
        input.insert(at, input.substr(below(input.size()), length));
        break;
      case 4:
        input.resize(at);
        break;
      case 5:
        input.insert(at, length, interesting());
        break;
      default: {
        const std::string& other = seeds[below(seeds.size())];
        if (!other.empty()) input.replace(at, length, other.substr(below(other.size()), 64));
      }
    }
  }

  std::mt19937 random_;
};

TEST(Fuzz, SeedsAndTheirPrefixes) {
  for (const std::string& seed : fuzz_seeds()) {
    run(seed);
    const size_t step = 1 + seed.size() / kMaxPrefixes;
    for (size_t length = 0; length < seed.size(); length += step) run(seed.substr(0, length));
  }
}

TEST(Fuzz, Mutations) {
  const std::vector<std::string> seeds = fuzz_seeds();
  for (uint32_t i = 0; i < kMutations; ++i) run(Mutator(i).mutate(seeds));
}

}  // namespace
}  // namespace artifactfs::testing
