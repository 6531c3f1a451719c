// A model for the executor whose numbers show where each message came from and in which order gradients were added.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "shared/base/hash.h"
#include "worker/pipeline/executor.h"

namespace strand {

inline uint64_t mix(uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t words[] = {a, b, c};
  return hash64(words, sizeof(words));
}
inline Frame frame_of(uint64_t value) {
  return Frame::copy_of(&value, sizeof(value));
}
inline uint64_t value_of(const Frame& frame) {
  uint64_t value = 0;
  EXPECT_EQ(frame.size(), sizeof(value));
  if (frame.size() == sizeof(value)) std::memcpy(&value, frame.data(), sizeof(value));
  return value;
}

// Each run of the model mixes its number and what it was given; its weights' gradient mixes what came before, so its
// value tells the order of the micro batches.
inline uint64_t output_of_run(int run, uint64_t input) {
  return mix(1, static_cast<uint64_t>(run), input);
}
inline uint64_t input_gradient_of_run(uint64_t input, uint64_t d_output) {
  return mix(2, input, d_output);
}
inline uint64_t added_gradient(uint64_t sum, uint64_t input, uint64_t d_output) {
  return mix(sum, input, d_output);
}
inline uint64_t loss_gradient(uint64_t last_output) {
  return mix(3, last_output, 0);
}

// The weights' gradients of every run, computed without any pipeline.
inline std::vector<uint64_t> serial_gradients(int runs, int micro_batches) {
  std::vector<uint64_t> sums(static_cast<size_t>(runs), 0);
  for (int m = 0; m < micro_batches; ++m) {
    std::vector<uint64_t> inputs = {mix(0, static_cast<uint64_t>(m), 0)};
    for (int run = 0; run < runs; ++run) inputs.push_back(output_of_run(run, inputs.back()));
    uint64_t gradient = loss_gradient(inputs.back());
    for (int run = runs - 1; run >= 0; --run) {
      const uint64_t input = inputs[static_cast<size_t>(run)];
      sums[static_cast<size_t>(run)] = added_gradient(sums[static_cast<size_t>(run)], input, gradient);
      gradient = input_gradient_of_run(input, gradient);
    }
  }
  return sums;
}

class FakeCompute final : public StageCompute {
 public:
  FakeCompute(const PipelineShape& shape, int stage) : shape_(shape), stage_(stage) {}

  // The call with this number (from 0) fails.
  void fail_at(size_t call) { failing_ = call; }
  // Calls are this long.
  void sleep(Duration time) { sleep_ = time; }
  const std::vector<Instruction>& calls() const { return calls_; }
  const std::map<int, uint64_t>& gradients() const { return gradients_; }  // by run
  size_t held() const { return inputs_.size(); }
  // By (chunk, micro batch): of every forward.
  const std::map<std::pair<int, int>, uint64_t>& all_inputs() const { return all_inputs_; }

  Result<Frame> forward(int chunk, int micro_batch, const Frame& input) override {
    STRAND_TRY(begin({InstructionKind::kForward, chunk, micro_batch}));
    const int run = shape_.run_of(stage_, chunk);
    const uint64_t value = run == 0 ? mix(0, static_cast<uint64_t>(micro_batch), 0) : value_of(input);
    EXPECT_EQ(input.size() == 0, run == 0);
    inputs_[{chunk, micro_batch}] = all_inputs_[{chunk, micro_batch}] = value;
    return run + 1 == shape_.runs() ? Frame() : frame_of(output_of_run(run, value));
  }
  Result<Frame> backward(int chunk, int micro_batch, const Frame& d_output) override {
    STRAND_TRY(begin({InstructionKind::kBackward, chunk, micro_batch}));
    Frame d_input = input_gradient(chunk, micro_batch, d_output);
    add(chunk, micro_batch);
    return d_input;
  }
  Result<Frame> backward_input(int chunk, int micro_batch, const Frame& d_output) override {
    STRAND_TRY(begin({InstructionKind::kBackwardInput, chunk, micro_batch}));
    return input_gradient(chunk, micro_batch, d_output);
  }
  Status backward_weight(int chunk, int micro_batch) override {
    STRAND_TRY(begin({InstructionKind::kBackwardWeight, chunk, micro_batch}));
    add(chunk, micro_batch);
    return {};
  }

 private:
  Status begin(const Instruction& instruction) {
    calls_.push_back(instruction);
    if (sleep_.count() > 0) std::this_thread::sleep_for(sleep_);
    if (calls_.size() - 1 == failing_) return unavailable("the planted failure");
    return {};
  }
  Frame input_gradient(int chunk, int micro_batch, const Frame& d_output) {
    const int run = shape_.run_of(stage_, chunk);
    const uint64_t input = inputs_.at({chunk, micro_batch});
    const bool last = run + 1 == shape_.runs();
    EXPECT_EQ(d_output.size() == 0, last);
    const uint64_t gradient = last ? loss_gradient(output_of_run(run, input)) : value_of(d_output);
    d_outputs_[{chunk, micro_batch}] = gradient;
    return run == 0 ? Frame() : frame_of(input_gradient_of_run(input, gradient));
  }
  void add(int chunk, int micro_batch) {
    uint64_t& sum = gradients_[shape_.run_of(stage_, chunk)];
    sum = added_gradient(sum, inputs_.at({chunk, micro_batch}), d_outputs_.at({chunk, micro_batch}));
    inputs_.erase({chunk, micro_batch});
  }

  PipelineShape shape_;
  int stage_;
  size_t failing_ = SIZE_MAX;
  Duration sleep_ = Duration::zero();
  std::vector<Instruction> calls_;
  std::map<std::pair<int, int>, uint64_t> inputs_, all_inputs_, d_outputs_;  // by (chunk, micro batch)
  std::map<int, uint64_t> gradients_;
};

}  // namespace strand
