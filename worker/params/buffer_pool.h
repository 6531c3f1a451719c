// Gradient buffers of one size, used again. Whoever keeps one keeps its memory: it comes back, from any thread, with
// the last reference, and may outlive the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ops/core/context.h"
#include "worker/model/buffer.h"

namespace strand {

class BufferPool {
 public:
  explicit BufferPool(int64_t elements) : elements_(elements), shared_(std::make_shared<Shared>()) {}

  std::shared_ptr<Buffer> take(const OpContext& context);  // fp32 [1, elements], zeroed
  int64_t allocated() const { return allocated_; }

 private:
  struct Shared {
    std::mutex mutex;
    std::vector<std::unique_ptr<Buffer>> free;
  };
  int64_t elements_;
  int64_t allocated_ = 0;
  std::shared_ptr<Shared> shared_;
};

}  // namespace strand
