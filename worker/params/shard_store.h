// The commit protocol's ranges as floats: a RangeStore over a ParamShard.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/group_plan.h"
#include "worker/params/param_shard.h"
#include "worker/params/range_store.h"

namespace strand {

// fp32 numbers of a range: its elements, or three times as many (weights, first and second moment). Owned, or in memory
// of somebody else's that `keeper` keeps alive and that only readers share.
class FloatBulk final : public RangeBulk {
 public:
  explicit FloatBulk(int64_t elements) : own_(static_cast<size_t>(elements)), data_(own_.data()), elements_(elements) {}
  FloatBulk(const float* data, int64_t elements, std::shared_ptr<const void> keeper)
      : data_(data), elements_(elements), keeper_(std::move(keeper)) {}

  const float* data() const { return data_; }
  int64_t elements() const { return elements_; }
  // Null when the memory is somebody else's.
  float* writable() { return own_.empty() ? nullptr : own_.data(); }

 private:
  std::vector<float> own_;
  const float* data_;
  int64_t elements_;
  std::shared_ptr<const void> keeper_;
};

class ShardStore final : public RangeStore {
 public:
  // `keys`: where each range of the job lies in the shard's table (elements 0: not of this stage). `shard` and what the
  // context points to outlive the store. Steps are updated at learning_rate(train, step), lanes are added as
  // train.gradient_dtype says.
  ShardStore(const OpContext& context, TrainSpec train, std::vector<KeyRange> keys, ParamShard* shard);

  BulkRef add(uint32_t range, BulkRef left, BulkRef right) override;
  BulkRef add_uses(uint32_t range, BulkRef input, BulkRef output) override;
  std::vector<double> squares(uint32_t range, const BulkRef& sum) override;
  void apply(uint32_t range, const BulkRef& sum, const StepRecord& record) override;
  BulkRef weights(uint32_t range) override;
  BulkRef state(uint32_t range) override;
  void take_state(uint32_t range, Step version, const BulkRef& state) override;
  void take_weights(uint32_t range, Step version, const BulkRef& weights) override;
  void drop(uint32_t range) override;

 private:
  BulkRef add(uint32_t range, BulkRef left, const BulkRef& right, GradientDtype dtype);

  OpContext context_;
  TrainSpec train_;
  std::vector<KeyRange> keys_;
  ParamShard* shard_;
};

}  // namespace strand
