// What the commit protocol needs done with tensors, and never looks into: production adds floats, the simulation adds
// symbols.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shared/base/ids.h"
#include "shared/wire/shard_messages.h"

namespace strand {

// The numbers of one range: a gradient, weights, or weights with moments. Shared between the steps that still need
// them; who adds to one may write into it only when nobody else holds it.
class RangeBulk {
 public:
  virtual ~RangeBulk() = default;
};
using BulkRef = std::shared_ptr<RangeBulk>;

// The ranges of one worker, by their number in the job's cut. Every call names a range that the protocol knows to be
// here in the version it needs; a violation is a defect of ours.
class RangeStore {
 public:
  virtual ~RangeStore() = default;

  // left + right, element by element; the left operand comes first in the lane tree.
  virtual BulkRef add(uint32_t range, BulkRef left, BulkRef right) = 0;
  // The whole sums of both uses of a tied embedding, input + output: not an addition of the lane tree.
  virtual BulkRef add_uses(uint32_t range, BulkRef input, BulkRef output) = 0;
  // Sums of squares of each block, in double.
  virtual std::vector<double> squares(uint32_t range, const BulkRef& sum) = 0;
  // The update of step record.step of a held range at version record.step - 1.
  virtual void apply(uint32_t range, const BulkRef& sum, const StepRecord& record) = 0;

  // A copy of the weights, or of weights and moments, of a held range.
  virtual BulkRef weights(uint32_t range) = 0;
  virtual BulkRef state(uint32_t range) = 0;
  // From another worker: the range is held from now on; or is not held, but its weights are read here.
  virtual void take_state(uint32_t range, Step version, const BulkRef& state) = 0;
  virtual void take_weights(uint32_t range, Step version, const BulkRef& weights) = 0;
  // The range is not held any more; its weights can still be read as they are.
  virtual void drop(uint32_t range) = 0;
};

}  // namespace strand
