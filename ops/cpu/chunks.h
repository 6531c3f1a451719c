// How rows and elements are cut into tasks. The cuts depend on the shape alone, so results never depend on threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/core/context.h"

namespace strand::cpu {

constexpr int64_t kChunkRows = 256;       // DESIGN section 5: sums over rows are per 256 rows, then in order
constexpr int64_t kTaskElements = 65536;  // a task of a pointwise operator

inline int64_t chunks(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

// body(first, count, chunk) for every chunk of `size` out of `count`, in parallel.
template <class Body>
void for_chunks(const OpContext& context, int64_t count, int64_t size, const Body& body) {
  context.pool->run(chunks(count, size), [&](int64_t chunk, int) {
    const int64_t first = chunk * size;
    body(first, std::min(size, count - first), chunk);
  });
}

// n floats, zero, from the calling thread's scratch. The tasks of the op may not ask for thread 0's scratch again.
inline float* zeroed_scratch(const OpContext& context, int64_t n) {
  auto* data = static_cast<float*>(context.workspace->scratch(0, static_cast<size_t>(n) * sizeof(float)));
  std::fill_n(data, n, 0.0f);
  return data;
}

// out[c] += the partials of all chunks ([count, cols]), added in order of the chunks.
inline void add_partials(const float* partials, int64_t count, int64_t cols, int64_t stride, float* out) {
  constexpr int64_t kColumns = 64;
  for (int64_t first = 0; first < cols; first += kColumns) {
    const int64_t n = std::min(kColumns, cols - first);
    double sum[kColumns] = {};
    for (int64_t chunk = 0; chunk < count; ++chunk) {
      const float* partial = partials + chunk * stride + first;
      for (int64_t c = 0; c < n; ++c) sum[c] += partial[c];
    }
    for (int64_t c = 0; c < n; ++c) out[first + c] = static_cast<float>(out[first + c] + sum[c]);
  }
}

// Rows of a task when rows are independent of each other.
inline int64_t rows_per_task(int64_t cols) {
  return std::max<int64_t>(1, kTaskElements / std::max<int64_t>(1, cols));
}

}  // namespace strand::cpu
