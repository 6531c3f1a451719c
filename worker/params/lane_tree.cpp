#include "worker/params/lane_tree.h"

#include <utility>

#include "ops/reduce/reduce.h"
#include "shared/base/check.h"
#include "worker/model/layers.h"

namespace strand {

void LaneTree::reset() {
  for (Subtree& subtree : subtrees_) free_.push_back(std::move(subtree.sum));
  subtrees_.clear();
  if (open_ != nullptr) free_.push_back(std::move(open_));
  open_ = nullptr;
}

float* LaneTree::open_lane(const OpContext& context) {
  STRAND_CHECK(open_ == nullptr, "a lane is open");
  if (free_.empty()) {
    open_ = std::make_shared<Buffer>(DType::kF32, 1, elements_);
    ++allocated_;
  } else {
    open_ = std::move(free_.back());
    free_.pop_back();
    fill_zero(context, open_->f32(), elements_);
  }
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
    add(context, right.sum->f32(), elements_, left.sum->f32());
    free_.push_back(std::move(right.sum));
    subtrees_.pop_back();
    ++left.level;
    left.index /= 2;
  }
}

}  // namespace strand
