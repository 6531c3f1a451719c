#include "ops/core/context.h"

#include <cstdlib>

#include "shared/base/check.h"

namespace strand {

struct Workspace::Block {
  ~Block() { std::free(data); }
  void* data = nullptr;
  size_t bytes = 0;
};

Workspace::Workspace(int threads) {
  STRAND_CHECK(threads >= 1);
  for (int i = 0; i < threads; ++i) blocks_.push_back(std::make_unique<Block>());
}

Workspace::~Workspace() = default;

void* Workspace::scratch(int thread, size_t bytes) {
  STRAND_CHECK(thread >= 0 && static_cast<size_t>(thread) < blocks_.size(), "thread ", thread);
  Block& block = *blocks_[static_cast<size_t>(thread)];
  if (block.bytes < bytes || block.data == nullptr) {
    std::free(block.data);
    block.bytes = (bytes + 4095) / 4096 * 4096 + 4096;
    block.data = std::aligned_alloc(4096, block.bytes);
    STRAND_CHECK(block.data != nullptr, "out of memory: ", block.bytes, " bytes of scratch");
  }
  return block.data;
}

size_t Workspace::allocated_bytes() const {
  size_t sum = 0;
  for (const auto& block : blocks_) sum += block->bytes;
  return sum;
}

}  // namespace strand
