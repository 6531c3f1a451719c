// Any bytes as a pytorch_model.bin and as the pickle within one: refused with an error, or tensors that can be read.
#include <algorithm>
#include <string>
#include <vector>

#include "shared/base/check.h"
#include "shared/formats/pickle.h"
#include "shared/formats/torch_zip.h"
#include "tests/fuzz/fuzz_main.h"

namespace {

constexpr int64_t kMostElements = 1 << 16;  // views with stride 0 may be far larger than the file

void check_archive(std::string bytes) {
  const auto source = strand::torch_zip_source(strand::make_file_view(std::move(bytes)), "fuzz.bin");
  if (!source.ok()) {
    STRAND_CHECK(source.error().code() == strand::ErrorCode::kBadInput, source.error().message());
    return;
  }
  for (const strand::TensorInfo& tensor : (*source)->tensors()) {
    if (tensor.elements > kMostElements) continue;
    std::vector<float> values(static_cast<size_t>(tensor.elements));
    const strand::Status read = (*source)->read(tensor.name, values);
    STRAND_CHECK(read.ok() || read.error().code() == strand::ErrorCode::kBadInput);
  }
}

void check_pickle(const std::string& bytes) {
  const auto tensors = strand::read_pickled_tensors(bytes, "fuzz.pkl");
  if (!tensors.ok()) {
    STRAND_CHECK(tensors.error().code() == strand::ErrorCode::kBadInput, tensors.error().message());
    return;
  }
  for (const strand::PickledTensor& tensor : *tensors) {
    STRAND_CHECK(tensor.strides.size() == tensor.shape.size() && tensor.offset >= 0);
    // The last element is within the storage; sizes were bounded, so doubles tell it well enough.
    double last = static_cast<double>(tensor.offset);
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      last += (static_cast<double>(tensor.shape[i]) - 1) * static_cast<double>(tensor.strides[i]);
    }
    STRAND_CHECK(tensor.elements == 0 || last <= static_cast<double>(tensor.storage_elements));
  }
}

}  // namespace

int fuzz_one(const uint8_t* data, size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  check_archive(raw);
  check_pickle(raw);
  return 0;
}
