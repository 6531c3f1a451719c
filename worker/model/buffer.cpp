#include "worker/model/buffer.h"

#include <sys/mman.h>

#include <cstring>

namespace strand {

Buffer::Buffer(DType dtype, int64_t rows, int64_t cols) : dtype_(dtype), rows_(rows), cols_(cols) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t bytes = static_cast<size_t>(rows * cols) * dtype_size(dtype);
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment + (bytes == 0 ? alignment : 0);
  data_.reset(std::aligned_alloc(alignment, rounded));
  STRAND_CHECK(data_ != nullptr, "out of memory: ", rounded, " bytes");
  // Large pages where the system has them; a refusal costs only speed.
  if (alignment == kHugePage) (void)madvise(data_.get(), rounded, MADV_HUGEPAGE);
  std::memset(data_.get(), 0, rounded);
}

}  // namespace strand
