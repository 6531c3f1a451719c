// The CUDA devices of this machine: ops/cuda answers when built with STRAND_CUDA, ops/cuda_absent otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strand {

struct DeviceInfo {
  int index = 0;
  std::string name;
  uint64_t memory_bytes = 0;
  int compute_capability = 0;  // 90 for 9.0
};

// Empty when there is none; then *why_none (may be null) says why in one sentence.
std::vector<DeviceInfo> list_cuda_devices(std::string* why_none);

}  // namespace strand
