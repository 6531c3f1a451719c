// The lane tree of one worker, piece by piece: as lane_tree.h adds lanes, but each piece of the gradient is summed and
// given away as soon as it is complete, and several lanes may be open at a time, as the schedules of a pipeline need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/group_plan.h"
#include "worker/model/buffer.h"
#include "worker/params/buffer_pool.h"
#include "worker/params/lane_tree.h"

namespace strand {

// One thread's. Takes a buffer for each level of the largest subtree, as LaneTree, and one for each open lane.
class LaneSums {
 public:
  // Gradient buffers of `elements`; `pieces`: runs of elements that are apart from each other.
  LaneSums(int64_t elements, std::vector<KeyRange> pieces, GradientDtype dtype = GradientDtype::kFp32);

  // The lanes of the next step. Forgets every sum; what was given away stays as it is.
  void begin(LaneRun lanes);
  // Where lane number `lane` adds its gradients, in the order of its micro batches. Zeroed when first asked for.
  float* lane(const OpContext& context, int64_t lane);
  // Nothing more is added to this piece of this lane. For each piece lanes rise by one. True: that was the last lane,
  // and sums() are there.
  bool close(const OpContext& context, int64_t lane, size_t piece);
  // Of largest_subtrees of the lanes, in order. The piece lies at its place in the buffer, where nobody writes again
  // before the buffer was let go.
  std::vector<Subtree> sums(size_t piece) const { return trees_[piece]; }

  const KeyRange& keys(size_t piece) const { return pieces_[piece]; }
  int64_t buffers() const { return pool_.allocated(); }

 private:
  struct OpenLane {
    std::shared_ptr<Buffer> buffer;
    size_t closed = 0;  // pieces
  };

  BufferPool pool_;
  std::vector<KeyRange> pieces_;
  GradientDtype dtype_;
  LaneRun lanes_;
  int64_t all_closed_ = 0;  // lanes before this one are closed for all pieces
  std::map<int64_t, OpenLane> open_;
  std::vector<std::vector<Subtree>> trees_;  // by piece
};

}  // namespace strand
