#include <cuda_runtime_api.h>

#include "ops/core/device.h"

namespace strand {

std::vector<DeviceInfo> list_cuda_devices(std::string* why_none) {
  std::vector<DeviceInfo> devices;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    if (why_none != nullptr) *why_none = std::string("the CUDA runtime found no device: ") + cudaGetErrorString(status);
    return devices;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) continue;
    devices.push_back({index, properties.name, properties.totalGlobalMem, properties.major * 10 + properties.minor});
  }
  if (devices.empty() && why_none != nullptr) *why_none = "the CUDA runtime lists no usable device";
  return devices;
}

}  // namespace strand
