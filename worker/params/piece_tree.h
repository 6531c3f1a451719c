// The sum of one range over all lanes of one step, from subtree sums that arrive in any order, some of them twice.
// Siblings are added as soon as both are there, so the bits are those of the complete tree (lane_tree.h), and the sum
// is there exactly when the set of pieces is complete: nothing is counted.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "shared/plan/group_plan.h"
#include "worker/params/range_store.h"

namespace strand {

class PieceTree {
 public:
  // uses: 1, or 2 for a tied embedding, whose uses are summed apart and added last, input + output.
  PieceTree(uint32_t range, int64_t lanes, int uses);

  // False: this piece was here before; nothing changed. `numbers` are those of the subtree's lanes, or none.
  bool add(RangeStore& store, int use, LaneSubtree subtree, BulkRef piece, const std::vector<LaneNumbers>& numbers);

  bool complete() const { return sum_ != nullptr; }
  const BulkRef& sum() const { return sum_; }  // null until complete
  std::vector<LaneNumbers> numbers() const;    // of the lanes that came with any, in order
  bool has(int use, LaneSubtree subtree) const { return seen_.contains({use, subtree}); }

 private:
  uint32_t range_;
  int top_level_ = 0;
  int uses_;
  std::set<std::pair<int, LaneSubtree>> seen_;
  std::map<std::pair<int, LaneSubtree>, BulkRef> open_;  // neither added to a sibling nor the whole
  std::map<int64_t, LaneNumbers> numbers_;
  BulkRef sum_;
};

}  // namespace strand
