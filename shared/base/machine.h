// What this machine has: for `strand doctor` and for precision = "auto". Reads /proc and asks the processor; slow
// enough to be called once by a main, which hands the value down.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strand {

struct InstructionSets {
  bool avx2 = false;
  bool avx512f = false;
  bool avx512_bf16 = false;
  bool amx_bf16 = false;
  auto operator<=>(const InstructionSets&) const = default;
};

struct Machine {
  std::string cpu_model;           // "AMD EPYC 9755 128-Core Processor"; "unknown" when the system does not say
  int cores = 1;                   // that this process may run on (affinity and the control group's quota, rounded up)
  uint64_t memory_bytes = 0;       // that this process may use: the machine's, or the control group's limit if smaller
  uint64_t memory_free_bytes = 0;  // available without swapping
  uint64_t open_files = 0;         // this process's limit on open files
  InstructionSets instructions;
};
Machine this_machine();

// What both the processor and the operating system support.
InstructionSets instruction_sets();
// {"avx2", "avx512f", ...}: the ones present.
std::vector<std::string> instruction_set_names(const InstructionSets& sets);
// Matrix products in bf16 in hardware tiles: what makes bf16 the faster choice on a CPU. Asks the kernel for the use of
// the tile registers, as Linux wants.
bool has_amx_bf16();

}  // namespace strand
