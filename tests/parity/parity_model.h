// A model from job keys with weights and batches from outside: Strand's side of the comparison with PyTorch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/result.h"
#include "shared/formats/json.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/transformer.h"
#include "worker/params/param_shard.h"

namespace strand::parity {

// {"model.preset": "opt-125m", "model.layers": 3, "train.clip": 1.0, ...}: the preset first, then the other keys, each
// as a job file takes it. kBadInput for a key or value that a job file would not take.
Result<JobSpec> job_of(const Json& keys);

// ids and targets [rows, segment], lengths [rows], of one step.
struct TokenRows {
  std::vector<int32_t> ids, targets, lengths;
};

// One model, its gradient buffer and its parameter shard. Training is one lane of one micro batch.
class ParityModel {
 public:
  ParityModel(const JobSpec& spec, int64_t rows, int64_t segment, bool bf16, int threads);

  const std::vector<ParameterInfo>& table() const { return shard_.table(); }
  // To be filled before ready(), in table order.
  std::span<float> weights() { return shard_.weights(); }
  void ready();

  // Forward, loss and backward of the sum over targets; afterwards gradient(), logits() and hidden() are of this batch.
  CrossEntropySum run(const TokenRows& batch);
  std::span<const float> gradient() const { return {gradient_.data(), static_cast<size_t>(shard_.elements())}; }
  // Of the batch last run: fp32 [rows * segment, V].
  std::vector<float> logits();
  // fp32 [rows * segment, hidden] of the input of block `layer`, or for `layers` of the last block's output.
  std::span<const float> hidden(int64_t layer) const;

  // One AdamW update from gradient() / targets, or from a gradient of outside.
  void step(int64_t targets) { step(gradient_.data(), targets); }
  void step(const float* gradient, int64_t targets);

 private:
  Weights pull() const;
  MicroBatch view() const;

  JobSpec spec_;
  int64_t rows_, segment_;
  ThreadPool pool_;
  Workspace workspace_;
  OpContext context_;
  ParamShard shard_;
  Transformer model_;
  TokenRows batch_;
  std::vector<int64_t> row_numbers_;
  std::vector<float> gradient_;
};

}  // namespace strand::parity
