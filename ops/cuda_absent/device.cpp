#include "ops/core/device.h"

namespace strand {

std::vector<DeviceInfo> list_cuda_devices(std::string* why_none) {
  if (why_none != nullptr) {
    *why_none = "this strand was built without CUDA; configure with --preset cuda (needs nvcc) to use GPUs";
  }
  return {};
}

}  // namespace strand
