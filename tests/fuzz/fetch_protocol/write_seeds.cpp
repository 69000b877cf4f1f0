// Writes a fuzz target's seeds to the directory that is named, one file each.
#include <fstream>

#include "fuzz_target.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int number = 0;
  for (const std::string& seed : artifactfs::testing::fuzz_seeds())
    std::ofstream(std::string(argv[1]) + "/seed" + std::to_string(number++), std::ios::binary) << seed;
  return 0;
}
