// The data.pkl of a pytorch_model.bin: the subset of pickle that torch.save needs for a dictionary of tensors.
// Nothing is executed: the stream is read as data by a small stack machine that knows five names, namely
// collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter and the storage classes of
// torch. Any other name, and any call of something else, is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/formats/tensor_types.h"

namespace strand {

constexpr uint64_t kLargestPickle = 16'000'000;
// Three times the tensors of the largest model that a config.json may describe: 1024 blocks, 16 tensors in each.
constexpr size_t kMostPickledTensors = 50'000;
// torch writes 17 values for a matrix and 3 for the version of its module. An instruction of one byte may make a value
// of a hundred, so without a limit a file of a few kilobytes, deflated, would take gigabytes.
constexpr size_t kMostPickledValues = 20 * kMostPickledTensors;

// A tensor as the pickle describes it: a strided view of a storage, which is an entry data/KEY of the archive.
struct PickledTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::string storage;           // KEY
  int64_t storage_elements = 0;  // as the pickle says
  int64_t offset = 0;            // first element within the storage
  std::vector<int64_t> shape, strides;
  int64_t elements = 1;
};

// The tensors of a pickled dictionary, in its order. kBadInput names the byte, what was found there and the mend: an
// instruction outside the subset, a name that is not one of the five, a value that is not a tensor, a view beyond its
// storage.
Result<std::vector<PickledTensor>> read_pickled_tensors(std::string_view bytes, const std::string& origin);

}  // namespace strand
