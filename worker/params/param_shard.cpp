#include "worker/params/param_shard.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw/adamw.h"
#include "ops/cast/cast.h"
#include "ops/reduce/reduce.h"
#include "shared/base/check.h"
#include "worker/params/digest.h"
#include "worker/params/initial_weights.h"
#include "worker/params/optimizer.h"

namespace strand {

ParamShard::ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy)
    : table_(std::move(table)), train_(train), pushed_(table_.size(), nullptr) {
  for (const ParameterInfo& tensor : table_) {
    STRAND_CHECK(tensor.first_element == elements_, tensor.name, " starts at ", tensor.first_element);
    elements_ += tensor.elements;
  }
  const auto n = static_cast<size_t>(elements_);
  weights_.resize(n);
  first_moment_.resize(n);
  second_moment_.resize(n);
  if (bf16_copy) rounded_.resize(n);
}

void ParamShard::init(const OpContext& context, uint64_t seed) {
  for (const ParameterInfo& tensor : table_) {
    fill_initial_weights(context, tensor, seed, weights_.data() + tensor.first_element);
  }
  std::fill(first_moment_.begin(), first_moment_.end(), 0.0f);
  std::fill(second_moment_.begin(), second_moment_.end(), 0.0f);
  restored(context, 0);
}

void ParamShard::push(KeyRange range, const float* gradient) {
  for (size_t i = 0; i < table_.size(); ++i) {
    const int64_t offset = table_[i].first_element - range.first_element;
    if (offset >= 0 && offset + table_[i].elements <= range.elements) pushed_[i] = gradient + offset;
  }
}

double ParamShard::squared_norm(const OpContext& context) const {
  double sum = 0;
  std::vector<double> partial;
  for (size_t i = 0; i < table_.size(); ++i) {
    STRAND_CHECK(pushed_[i] != nullptr, table_[i].name, " was not pushed");
    partial.resize(static_cast<size_t>((table_[i].elements + kBlockElements - 1) / kBlockElements));
    sum_squares_by_block(context, pushed_[i], table_[i].elements, partial.data());
    for (const double p : partial) sum += p;
  }
  return sum;
}

void ParamShard::commit(const OpContext& context, double squared_norm, int64_t target_tokens, double learning_rate) {
  STRAND_CHECK(std::isfinite(squared_norm) && target_tokens > 0, "norm ", squared_norm, " targets ", target_tokens);
  const double norm = std::sqrt(squared_norm) / static_cast<double>(target_tokens);
  AdamWArgs args;
  args.learning_rate = static_cast<float>(learning_rate);
  args.beta1 = static_cast<float>(train_.beta1);
  args.beta2 = static_cast<float>(train_.beta2);
  args.epsilon = static_cast<float>(train_.epsilon);
  args.step = version_ + 1;
  args.gradient_scale = clip_coefficient(train_.clip, norm) / static_cast<double>(target_tokens);
  for (size_t i = 0; i < table_.size(); ++i) {
    const int64_t first = table_[i].first_element;
    STRAND_CHECK(pushed_[i] != nullptr, table_[i].name, " was not pushed");
    args.weight_decay = static_cast<float>(weight_decay(train_, table_[i].decay));
    adamw(context, args, table_[i].elements, weights_.data() + first, first_moment_.data() + first,
          second_moment_.data() + first, pushed_[i], rounded_.empty() ? nullptr : rounded_.data() + first);
    pushed_[i] = nullptr;
  }
  ++version_;
}

const float* ParamShard::pull(KeyRange range) const {
  STRAND_CHECK(range.first_element >= 0 && range.first_element + range.elements <= elements_);
  return weights_.data() + range.first_element;
}

const BFloat16* ParamShard::pull_bf16(KeyRange range) const {
  STRAND_CHECK(range.first_element >= 0 && range.first_element + range.elements <= elements_);
  return rounded_.empty() ? nullptr : rounded_.data() + range.first_element;
}

void ParamShard::restored(const OpContext& context, Step step) {
  version_ = step;
  std::fill(pushed_.begin(), pushed_.end(), nullptr);
  if (!rounded_.empty()) cast(context, weights_.data(), elements_, rounded_.data());
}

Digest128 ParamShard::digest() const {
  return model_digest(table_, weights_);
}

Digest128 ParamShard::state_digest(uint64_t next_row) const {
  return strand::state_digest(table_, {weights_, first_moment_, second_moment_, version_}, next_row);
}

}  // namespace strand
