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
#include "worker/params/range_pieces.h"

namespace strand {

static_assert(kBlockElements == kRangeBlockElements, "the blocks of the norm are those that ranges are made of");

ParamShard::ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy)
    : ParamShard(std::move(table), train, bf16_copy, {}) {
  hold({0, elements_});
}

ParamShard::ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy,
                       const std::vector<KeyRange>& held)
    : table_(std::move(table)), train_(train), pushed_(table_.size(), nullptr) {
  for (const ParameterInfo& tensor : table_) {
    STRAND_CHECK(tensor.first_element == elements_, tensor.name, " starts at ", tensor.first_element);
    elements_ += tensor.elements;
  }
  weights_.resize(static_cast<size_t>(elements_));
  if (bf16_copy) rounded_.resize(static_cast<size_t>(elements_));
  for (const KeyRange& range : held) hold(range);
}

void ParamShard::init(const OpContext& context, uint64_t seed) {
  for (const ParameterInfo& tensor : table_) {
    fill_initial_weights(context, tensor, seed, weights_.data() + tensor.first_element);
  }
  for (auto& [first, held] : held_) {
    std::fill(held.first_moment.begin(), held.first_moment.end(), 0.0f);
    std::fill(held.second_moment.begin(), held.second_moment.end(), 0.0f);
  }
  restored(context, 0);
}

// --- the whole ------------------------------------------------------------------------------------------------------

void ParamShard::push(KeyRange range, const float* gradient) {
  for (size_t i = 0; i < table_.size(); ++i) {
    const int64_t offset = table_[i].first_element - range.first_element;
    if (offset >= 0 && offset + table_[i].elements <= range.elements) pushed_[i] = gradient + offset;
  }
}

double ParamShard::squared_norm(const OpContext& context) const {
  double sum = 0;
  for (size_t i = 0; i < table_.size(); ++i) {
    STRAND_CHECK(pushed_[i] != nullptr, table_[i].name, " was not pushed");
    for (const double p : norm_partials(context, {table_[i].first_element, table_[i].elements}, pushed_[i])) sum += p;
  }
  return sum;
}

void ParamShard::commit(const OpContext& context, double squared_norm, int64_t target_tokens, double learning_rate) {
  const StepUpdate step{version_ + 1, squared_norm, target_tokens, learning_rate};
  for (size_t i = 0; i < table_.size(); ++i) {
    STRAND_CHECK(pushed_[i] != nullptr, table_[i].name, " was not pushed");
    update(context, {table_[i].first_element, table_[i].elements}, pushed_[i], step);
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
  round(context, {0, elements_});
}

void ParamShard::round(const OpContext& context, KeyRange range) {
  if (rounded_.empty()) return;
  cast(context, weights_.data() + range.first_element, range.elements, rounded_.data() + range.first_element);
}

// --- a range --------------------------------------------------------------------------------------------------------

int64_t ParamShard::find(KeyRange range) const {
  const auto after = held_.upper_bound(range.first_element);
  if (after == held_.begin()) return -1;
  const KeyRange& keys = std::prev(after)->second.keys;
  const bool inside = range.first_element + range.elements <= keys.first_element + keys.elements;
  return inside ? keys.first_element : -1;
}

const ParamShard::Held& ParamShard::held(KeyRange range) const {
  const int64_t first = find(range);
  STRAND_CHECK(first >= 0, "range ", range.first_element, " + ", range.elements, " is not held");
  return held_.at(first);
}

ParamShard::Held& ParamShard::held(KeyRange range) {
  const int64_t first = find(range);
  STRAND_CHECK(first >= 0, "range ", range.first_element, " + ", range.elements, " is not held");
  return held_.at(first);
}

void ParamShard::hold(KeyRange range) {
  const auto n = static_cast<size_t>(range.elements);
  STRAND_CHECK(range.first_element >= 0 && range.first_element + range.elements <= elements_);
  held_[range.first_element] = {range, std::vector<float>(n), std::vector<float>(n)};
}

void ParamShard::drop(KeyRange range) {
  held_.erase(range.first_element);
}

std::vector<double> ParamShard::norm_partials(const OpContext& context, KeyRange range, const float* gradient) const {
  std::vector<double> partials(static_cast<size_t>(range_blocks(table_, range)));
  double* next = partials.data();
  for_each_piece(table_, range, [&](const ParameterInfo&, int64_t first, int64_t count) {
    sum_squares_by_block(context, gradient + (first - range.first_element), count, next);
    next += (count + kBlockElements - 1) / kBlockElements;
  });
  return partials;
}

void ParamShard::update(const OpContext& context, KeyRange range, const float* gradient, const StepUpdate& update) {
  STRAND_CHECK(std::isfinite(update.squared_norm) && update.target_tokens > 0, "norm ", update.squared_norm,
               " targets ", update.target_tokens);
  Held& of = held(range);
  const auto targets = static_cast<double>(update.target_tokens);
  const double norm = std::sqrt(update.squared_norm) / targets;
  AdamWArgs args;
  args.learning_rate = static_cast<float>(update.learning_rate);
  args.beta1 = static_cast<float>(train_.beta1);
  args.beta2 = static_cast<float>(train_.beta2);
  args.epsilon = static_cast<float>(train_.epsilon);
  args.step = update.step;
  args.gradient_scale = clip_coefficient(train_.clip, norm) / targets;
  for_each_piece(table_, range, [&](const ParameterInfo& tensor, int64_t first, int64_t count) {
    const int64_t moment = first - of.keys.first_element;
    args.weight_decay = static_cast<float>(weight_decay(train_, tensor.decay));
    adamw(context, args, count, weights_.data() + first, of.first_moment.data() + moment,
          of.second_moment.data() + moment, gradient + (first - range.first_element),
          rounded_.empty() ? nullptr : rounded_.data() + first);
  });
}

void ParamShard::copy_state(KeyRange range, float* out) const {
  const Held& from = held(range);
  const int64_t moment = range.first_element - from.keys.first_element;
  out = std::copy_n(weights_.data() + range.first_element, range.elements, out);
  out = std::copy_n(from.first_moment.data() + moment, range.elements, out);
  std::copy_n(from.second_moment.data() + moment, range.elements, out);
}

void ParamShard::take_state(const OpContext& context, KeyRange range, const float* state) {
  Held& to = held(range);
  const int64_t moment = range.first_element - to.keys.first_element;
  take_weights(context, range, state);
  std::copy_n(state + range.elements, range.elements, to.first_moment.data() + moment);
  std::copy_n(state + 2 * range.elements, range.elements, to.second_moment.data() + moment);
}

void ParamShard::take_weights(const OpContext& context, KeyRange range, const float* weights) {
  std::copy_n(weights, range.elements, weights_.data() + range.first_element);
  round(context, range);
}

std::array<std::vector<Digest128>, 3> ParamShard::digests(KeyRange range) const {
  const Held& of = held(range);
  const int64_t moment = range.first_element - of.keys.first_element;
  return {block_digests(table_, range, weights_.data() + range.first_element),
          block_digests(table_, range, of.first_moment.data() + moment),
          block_digests(table_, range, of.second_moment.data() + moment)};
}

// --- digests --------------------------------------------------------------------------------------------------------

Digest128 ParamShard::digest() const {
  return model_digest(table_, weights_);
}

Digest128 ParamShard::state_digest(uint64_t next_row) const {
  const auto blocks = digests({0, elements_});
  const Digest128 whole[] = {digest_of_blocks(table_, blocks[0]), digest_of_blocks(table_, blocks[1]),
                             digest_of_blocks(table_, blocks[2])};
  return state_digest_of(whole, version_, next_row);
}

}  // namespace strand
