#include "worker/params/lane_tree.h"

#include <utility>

#include "shared/base/check.h"
#include "worker/model/layers.h"
#include "worker/params/gradient_sum.h"

namespace strand {

void LaneTree::reset() {
  subtrees_.clear();
  open_ = nullptr;
}

std::unique_ptr<Buffer> LaneTree::take_free() {
  const std::lock_guard lock(pool_->mutex);
  if (pool_->free.empty()) return nullptr;
  auto buffer = std::move(pool_->free.back());
  pool_->free.pop_back();
  return buffer;
}

float* LaneTree::open_lane(const OpContext& context) {
  STRAND_CHECK(open_ == nullptr, "a lane is open");
  std::unique_ptr<Buffer> buffer = take_free();
  if (buffer == nullptr) {
    buffer = std::make_unique<Buffer>(DType::kF32, 1, elements_);
    ++allocated_;
  } else {
    fill_zero(context, buffer->f32(), elements_);
  }
  open_ = std::shared_ptr<Buffer>(buffer.release(), [pool = pool_](Buffer* done) {
    const std::lock_guard lock(pool->mutex);
    pool->free.emplace_back(done);
  });
  return open_->f32();
}

void LaneTree::close_lane(const OpContext& context, int64_t lane) {
  STRAND_CHECK(open_ != nullptr, "no lane is open");
  append(context, {0, lane, std::exchange(open_, nullptr)});
}

void LaneTree::append(const OpContext& context, Subtree subtree) {
  if (!subtrees_.empty()) {
    const Subtree& last = subtrees_.back();
    STRAND_CHECK((last.index + 1) << last.level == subtree.index << subtree.level, "lanes out of order");
  }
  subtrees_.push_back(std::move(subtree));
  while (subtrees_.size() >= 2) {
    Subtree& left = subtrees_[subtrees_.size() - 2];
    Subtree& right = subtrees_.back();
    if (left.level != right.level || left.index % 2 != 0) break;
    add_gradients(context, right.sum->f32(), elements_, left.sum->f32(), dtype_);
    subtrees_.pop_back();
    ++left.level;
    left.index /= 2;
  }
}

}  // namespace strand
