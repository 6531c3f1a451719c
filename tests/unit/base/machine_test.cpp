#include "shared/base/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

namespace strand {
namespace {

// The kernel's own list is the peer: it names what processor and kernel support.
TEST(Machine, InstructionSetsAreTheKernels) {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line) && !line.starts_with("flags")) {
  }
  if (!line.starts_with("flags")) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  std::istringstream words(line.substr(line.find(':') + 1));
  std::vector<std::string> expected;
  for (std::string word; words >> word;) {
    if (word == "avx2" || word == "avx512f" || word == "avx512_bf16" || word == "amx_bf16") expected.push_back(word);
  }
  std::vector<std::string> found = instruction_set_names(instruction_sets());
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, expected);
  EXPECT_LE(has_amx_bf16(), instruction_sets().amx_bf16);
}

TEST(Machine, SizesAreSane) {
  const Machine machine = this_machine();
  EXPECT_GE(machine.cores, 1);
  EXPECT_LE(machine.cores, static_cast<int>(std::thread::hardware_concurrency()));
  EXPECT_GT(machine.memory_bytes, uint64_t{64} << 20);
  EXPECT_GT(machine.memory_free_bytes, 0u);
  EXPECT_LE(machine.memory_free_bytes, machine.memory_bytes);
  EXPECT_GT(machine.open_files, 2u);
  EXPECT_FALSE(machine.cpu_model.empty());
}

}  // namespace
}  // namespace strand
