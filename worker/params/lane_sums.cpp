#include "worker/params/lane_sums.h"

#include <utility>

#include "shared/base/check.h"
#include "worker/params/gradient_sum.h"

namespace strand {

LaneSums::LaneSums(int64_t elements, std::vector<KeyRange> pieces, GradientDtype dtype)
    : pool_(elements), pieces_(std::move(pieces)), dtype_(dtype), trees_(pieces_.size()) {
  for (const KeyRange& keys : pieces_) {
    STRAND_CHECK(keys.first_element >= 0 && keys.first_element + keys.elements <= elements, "piece at ",
                 keys.first_element, " of ", elements);
  }
}

void LaneSums::begin(LaneRun lanes) {
  STRAND_CHECK(lanes.count >= 1, "a step without lanes");
  lanes_ = lanes;
  all_closed_ = lanes.first;
  open_.clear();
  for (std::vector<Subtree>& tree : trees_) tree.clear();
}

float* LaneSums::lane(const OpContext& context, int64_t lane) {
  STRAND_CHECK(lane >= lanes_.first && lane < lanes_.first + lanes_.count, "lane ", lane);
  STRAND_CHECK(lane >= all_closed_, "lane ", lane, " is closed");
  OpenLane& open = open_[lane];
  if (open.buffer == nullptr) open.buffer = pool_.take(context);
  return open.buffer->f32();
}

bool LaneSums::close(const OpContext& context, int64_t lane, size_t piece) {
  std::vector<Subtree>& tree = trees_[piece];
  const auto open = open_.find(lane);
  const int64_t next = tree.empty() ? lanes_.first : (tree.back().index + 1) << tree.back().level;
  STRAND_CHECK(open != open_.end() && lane == next, "lane ", lane, " is closed where ", next, " is expected");
  tree.push_back({0, lane, open->second.buffer});
  if (++open->second.closed == pieces_.size()) {
    open_.erase(open);
    all_closed_ = lane + 1;
  }
  const KeyRange& keys = pieces_[piece];
  join_siblings(&tree, [&](const Buffer& from, Buffer& into) {
    add_gradients(context, from.f32() + keys.first_element, keys.elements, into.f32() + keys.first_element, dtype_);
  });
  return lane + 1 == lanes_.first + lanes_.count;
}

}  // namespace strand
