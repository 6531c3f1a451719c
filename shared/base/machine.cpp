#include "shared/base/machine.h"

#include <cpuid.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <thread>

#include "shared/base/text.h"

namespace strand {
namespace {

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool bit(uint32_t word, int n) {
  return (word >> n & 1) != 0;
}

// Which register files the operating system saves (XCR0); 0 when it does not use XSAVE.
uint64_t saved_state() {
  if (!bit(cpuid(1, 0).c, 27)) return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Linux gives tile registers only to a process that asks (arch_prctl ARCH_REQ_XCOMP_PERM, state 18).
bool tiles_granted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// The value of a "Name: value" line of a /proc file.
std::optional<std::string> proc_line(const char* path, std::string_view name) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || trim(std::string_view(line).substr(0, colon)) != name) continue;
    return std::string(trim(std::string_view(line).substr(colon + 1)));
  }
  return std::nullopt;
}

uint64_t meminfo_bytes(std::string_view name) {
  const auto line = proc_line("/proc/meminfo", name);
  return line ? std::strtoull(line->c_str(), nullptr, 10) * 1024 : 0;
}

int allowed_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  // "max 100000" or "200000 100000": microseconds of processor time a period.
  std::ifstream quota("/sys/fs/cgroup/cpu.max");
  double share = 0, period = 0;
  if (quota >> share >> period && period > 0) cores = std::min(cores, static_cast<int>(std::ceil(share / period)));
  return std::max(cores, 1);
}

uint64_t number_in(const char* path) {  // 0 when absent or "max"
  std::ifstream in(path);
  uint64_t value = 0;
  return in >> value ? value : 0;
}

}  // namespace

InstructionSets instruction_sets() {
  constexpr uint64_t kVectors = 0x6, kWideVectors = 0xe6, kTiles = 0x60000;
  const uint64_t saved = saved_state();
  const Registers leaf7 = cpuid(7, 0);
  InstructionSets sets;
  sets.avx2 = (saved & kVectors) == kVectors && bit(leaf7.b, 5);
  sets.avx512f = (saved & kWideVectors) == kWideVectors && bit(leaf7.b, 16);
  sets.avx512_bf16 = sets.avx512f && bit(cpuid(7, 1).a, 5);
  sets.amx_bf16 = (saved & kTiles) == kTiles && bit(leaf7.d, 24) && bit(leaf7.d, 22);
  return sets;
}

std::vector<std::string> instruction_set_names(const InstructionSets& sets) {
  std::vector<std::string> names;
  if (sets.avx2) names.emplace_back("avx2");
  if (sets.avx512f) names.emplace_back("avx512f");
  if (sets.avx512_bf16) names.emplace_back("avx512_bf16");
  if (sets.amx_bf16) names.emplace_back("amx_bf16");
  return names;
}

bool has_amx_bf16() {
  return instruction_sets().amx_bf16 && tiles_granted();
}

Machine this_machine() {
  Machine machine;
  machine.cpu_model = proc_line("/proc/cpuinfo", "model name").value_or("unknown");
  machine.cores = allowed_cores();
  machine.memory_bytes = meminfo_bytes("MemTotal");
  machine.memory_free_bytes = meminfo_bytes("MemAvailable");
  if (const uint64_t limit = number_in("/sys/fs/cgroup/memory.max"); limit > 0 && limit < machine.memory_bytes) {
    const uint64_t used = std::min(number_in("/sys/fs/cgroup/memory.current"), limit);
    machine.memory_bytes = limit;
    machine.memory_free_bytes = std::min(machine.memory_free_bytes, limit - used);
  }
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) machine.open_files = files.rlim_cur;
  machine.instructions = instruction_sets();
  return machine;
}

}  // namespace strand
