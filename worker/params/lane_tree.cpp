#include "worker/params/lane_tree.h"

#include <utility>

#include "shared/base/check.h"
#include "worker/params/gradient_sum.h"

namespace strand {

void LaneTree::reset() {
  subtrees_.clear();
  open_ = nullptr;
}

float* LaneTree::open_lane(const OpContext& context) {
  STRAND_CHECK(open_ == nullptr, "a lane is open");
  open_ = pool_.take(context);
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
  join_siblings(&subtrees_, [&](const Buffer& from, Buffer& into) {
    add_gradients(context, from.f32(), elements_, into.f32(), dtype_);
  });
}

}  // namespace strand
