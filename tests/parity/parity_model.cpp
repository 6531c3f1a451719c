#include "tests/parity/parity_model.h"

#include <algorithm>
#include <numeric>

#include "shared/base/check.h"
#include "shared/job_spec/fields.h"

namespace strand::parity {
namespace {

TomlValue value_of(const Json& json) {
  if (json.is_boolean()) return {json.get<bool>(), "boolean"};
  if (json.is_number_integer()) return {json.get<int64_t>(), "integer"};
  if (json.is_number()) return {json.get<double>(), "float"};
  if (json.is_string()) return {json.get<std::string>(), "string"};
  return {std::monostate{}, json.type_name()};
}

}  // namespace

Result<JobSpec> job_of(const Json& keys) {
  JobSpec spec;
  if (keys.contains("model.preset")) {
    const Json& name = keys.at("model.preset");
    STRAND_ASSIGN(spec.model.config, preset_config(name.is_string() ? name.get<std::string>() : dump_json(name)));
  }
  for (const auto& [key, json] : keys.items()) {
    const std::optional<Field> field = find_field(key);
    if (!field) return bad_input(concat(key, ": a job file has no such key"));
    if (const std::string problem = field->set(&spec, value_of(json)); !problem.empty()) {
      return bad_input(concat(key, ": ", problem));
    }
  }
  return spec;
}

ParityModel::ParityModel(const JobSpec& spec, int64_t rows, int64_t segment, bool bf16, int threads)
    : spec_(spec),
      rows_(rows),
      segment_(segment),
      pool_(threads),
      workspace_(threads),
      context_{&pool_, &workspace_, Backend::kCpu},
      shard_(parameter_table(spec.model.config), spec.train, bf16),
      model_(spec.model.config, shard_.table(),
             {.dtype = bf16 ? DType::kBF16 : DType::kF32, .rows = rows, .segment = segment}),
      row_numbers_(static_cast<size_t>(rows)),
      gradient_(static_cast<size_t>(model_.layout().gradients)) {
  std::iota(row_numbers_.begin(), row_numbers_.end(), int64_t{0});
}

void ParityModel::ready() {
  shard_.restored(context_, 0);
}

Weights ParityModel::pull() const {
  const KeyRange all{0, shard_.elements()};
  return {shard_.pull(all), shard_.pull_bf16(all)};
}

MicroBatch ParityModel::view() const {
  return {.rows = rows_,
          .segment = segment_,
          .ids = batch_.ids.data(),
          .targets = batch_.targets.data(),
          .row_numbers = row_numbers_.data(),
          .lengths = batch_.lengths.data()};
}

CrossEntropySum ParityModel::run(const TokenRows& batch) {
  const auto tokens = static_cast<size_t>(rows_ * segment_);
  STRAND_CHECK(
      batch.ids.size() == tokens && batch.targets.size() == tokens && batch.lengths.size() == row_numbers_.size(),
      batch.ids.size(), " ids, ", batch.targets.size(), " targets, ", batch.lengths.size(), " lengths");
  batch_ = batch;
  std::fill(gradient_.begin(), gradient_.end(), 0.0f);
  const Gradients gradients{gradient_.data()};
  const MicroBatch rows = view();
  model_.forward(context_, pull(), rows, Mode::kTrain);
  const CrossEntropySum sum = model_.loss(context_, pull(), rows, &gradients);
  model_.backward(context_, pull(), rows, gradients);
  model_.fold_tied(context_, gradients);
  return sum;
}

std::vector<float> ParityModel::logits() {
  const int64_t tokens = rows_ * segment_, vocabulary = spec_.model.config.vocabulary;
  std::vector<float> out(static_cast<size_t>(tokens * vocabulary));
  model_.logits(context_, pull(), view(), {out.data(), DType::kF32, tokens, vocabulary});
  return out;
}

std::span<const float> ParityModel::hidden(int64_t layer) const {
  const ConstMatrix state = model_.hidden(layer);
  STRAND_CHECK(state.stride == state.cols, "rows of ", state.cols, " values, ", state.stride, " apart");
  return {state.f32(), static_cast<size_t>(state.rows * state.cols)};
}

void ParityModel::step(const float* gradient, int64_t targets) {
  shard_.push({0, shard_.elements()}, gradient);
  shard_.commit(context_, shard_.squared_norm(context_), targets, spec_.train.learning_rate);
}

}  // namespace strand::parity
