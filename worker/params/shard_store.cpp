#include "worker/params/shard_store.h"

#include <algorithm>

#include "shared/base/check.h"
#include "worker/params/gradient_sum.h"
#include "worker/params/schedules.h"

namespace strand {

static const float* floats(const BulkRef& bulk, int64_t elements) {
  const auto& numbers = static_cast<const FloatBulk&>(*bulk);
  STRAND_CHECK(numbers.elements() == elements, numbers.elements(), " numbers, expected ", elements);
  return numbers.data();
}

ShardStore::ShardStore(const OpContext& context, TrainSpec train, std::vector<KeyRange> keys, ParamShard* shard)
    : context_(context), train_(std::move(train)), keys_(std::move(keys)), shard_(shard) {}

BulkRef ShardStore::add(uint32_t range, BulkRef left, BulkRef right) {
  return add(range, std::move(left), right, train_.gradient_dtype);
}

BulkRef ShardStore::add_uses(uint32_t range, BulkRef input, BulkRef output) {
  return add(range, std::move(input), output, GradientDtype::kFp32);
}

// In place when nobody else needs the left operand.
BulkRef ShardStore::add(uint32_t range, BulkRef left, const BulkRef& right, GradientDtype dtype) {
  const int64_t n = keys_[range].elements;
  const float* from = floats(left, n);
  if (left.use_count() != 1 || static_cast<FloatBulk&>(*left).writable() == nullptr) {
    auto copy = std::make_shared<FloatBulk>(n);
    std::copy_n(from, n, copy->writable());
    left = std::move(copy);
  }
  add_gradients(context_, floats(right, n), n, static_cast<FloatBulk&>(*left).writable(), dtype);
  return left;
}

std::vector<double> ShardStore::squares(uint32_t range, const BulkRef& sum) {
  return shard_->norm_partials(context_, keys_[range], floats(sum, keys_[range].elements));
}

void ShardStore::apply(uint32_t range, const BulkRef& sum, const StepRecord& record) {
  shard_->update(context_, keys_[range], floats(sum, keys_[range].elements),
                 {record.step, record.squared_norm, record.targets, learning_rate(train_, record.step)});
}

BulkRef ShardStore::weights(uint32_t range) {
  auto copy = std::make_shared<FloatBulk>(keys_[range].elements);
  std::copy_n(shard_->pull(keys_[range]), copy->elements(), copy->writable());
  return copy;
}

BulkRef ShardStore::state(uint32_t range) {
  auto copy = std::make_shared<FloatBulk>(3 * keys_[range].elements);
  shard_->copy_state(keys_[range], copy->writable());
  return copy;
}

void ShardStore::take_state(uint32_t range, Step, const BulkRef& state) {
  shard_->hold(keys_[range]);
  shard_->take_state(context_, keys_[range], floats(state, 3 * keys_[range].elements));
}

void ShardStore::take_weights(uint32_t range, Step, const BulkRef& weights) {
  shard_->take_weights(context_, keys_[range], floats(weights, keys_[range].elements));
}

void ShardStore::drop(uint32_t range) {
  shard_->drop(keys_[range]);
}

}  // namespace strand
