#include "worker/params/buffer_pool.h"

#include <utility>

#include "worker/model/layers.h"

namespace strand {

std::shared_ptr<Buffer> BufferPool::take(const OpContext& context) {
  std::unique_ptr<Buffer> buffer;
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->free.empty()) {
      buffer = std::move(shared_->free.back());
      shared_->free.pop_back();
    }
  }
  if (buffer == nullptr) {
    buffer = std::make_unique<Buffer>(DType::kF32, 1, elements_);
    ++allocated_;
  } else {
    fill_zero(context, buffer->f32(), elements_);
  }
  return {buffer.release(), [shared = shared_](Buffer* done) {
            const std::lock_guard lock(shared->mutex);
            shared->free.emplace_back(done);
          }};
}

}  // namespace strand
