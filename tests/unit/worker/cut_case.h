// A model cut into stages and chunks, run in one thread in the order of a schedule, beside the whole model: same
// weights, same micro batches.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ops/cast/cast.h"
#include "ops/reduce/reduce.h"
#include "shared/plan/stage_cut.h"
#include "tests/unit/worker/test_model.h"
#include "worker/model/transformer.h"

namespace strand::testing {

// Micro batches of three rows, each with other tokens, lengths and row numbers; some rows are padded.
inline std::vector<TestBatch> micro_batches(const TransformerConfig& config, int64_t count, int64_t segment = 7) {
  std::vector<TestBatch> made;
  for (int64_t m = 0; m < count; ++m) {
    TestBatch batch(config, 3, segment);
    for (int64_t& row : batch.row_numbers) row += 17 * m;
    for (size_t t = 0; t < batch.ids.size(); ++t) {
      const auto row = t / static_cast<size_t>(segment);
      if (t % static_cast<size_t>(segment) >= static_cast<size_t>(batch.lengths[row])) continue;
      batch.ids[t] = static_cast<int32_t>((batch.ids[t] + m) % config.vocabulary);
      if (batch.targets[t] != kIgnoredTarget) {
        batch.targets[t] = static_cast<int32_t>((batch.targets[t] + m) % config.vocabulary);
      }
    }
    made.push_back(std::move(batch));
  }
  return made;
}

struct CutOptions {
  DType dtype = DType::kF32;
  bool recompute = false;
  bool split = false;
};

// What training on some micro batches leaves: to be the same, bit for bit.
struct Outcome {
  std::vector<double> losses;
  std::vector<float> gradient;  // in the order of the parameter table
  bool operator==(const Outcome&) const = default;
};

inline std::vector<BFloat16> rounded(const Machine& machine, const std::vector<float>& weights, DType dtype) {
  std::vector<BFloat16> out(dtype == DType::kBF16 ? weights.size() : 0);
  if (!out.empty()) cast(machine.context, weights.data(), static_cast<int64_t>(weights.size()), out.data());
  return out;
}

// One stage: what a worker holds.
struct StageOfModel {
  StageOfModel(const TransformerConfig& config, const Stage& stage, const Machine& machine,
               const std::vector<float>& global, const CutOptions& options, size_t slots)
      : gradient(static_cast<size_t>(stage.gradient_elements)) {
    for (const StageTensor& tensor : stage.tensors) {
      const auto from = global.begin() + tensor.parameter.first_element;
      weights.insert(weights.end(), from, from + tensor.parameter.elements);
    }
    bf16 = rounded(machine, weights, options.dtype);
    for (const ModelRun& run : stage.chunks) {
      runs.emplace_back(config, local_table(stage),
                        TransformerOptions{.dtype = options.dtype,
                                           .rows = 3,
                                           .segment = 7,
                                           .seed = 5,
                                           .run = run,
                                           .slots = slots,
                                           .recompute = options.recompute,
                                           .split_backward = options.split,
                                           .scratch = runs.empty() ? nullptr : runs.front().scratch()});
    }
  }
  Weights view() const { return {weights.data(), bf16.empty() ? nullptr : bf16.data()}; }

  std::vector<float> weights, gradient;
  std::vector<BFloat16> bf16;
  std::vector<Transformer> runs;
};

enum class Do { kForward, kBackward, kWeight };
struct Instruct {
  Do what = Do::kForward;
  int64_t chunk = 0, micro = 0;
};
using StageList = std::vector<Instruct>;

// Stage s runs stages - s - 1 forwards ahead; with `split` its weights wait for s micro batches.
inline StageList one_forward_one_backward(int64_t stages, int64_t s, int64_t micros, bool split) {
  StageList list;
  const int64_t ahead = std::min(stages - s - 1, micros);
  for (int64_t m = 0; m < ahead; ++m) list.push_back({Do::kForward, 0, m});
  for (int64_t m = 0; m < micros; ++m) {
    if (m + ahead < micros) list.push_back({Do::kForward, 0, m + ahead});
    list.push_back({Do::kBackward, 0, m});
    if (split && m >= s) list.push_back({Do::kWeight, 0, m - s});
  }
  for (int64_t m = std::max<int64_t>(micros - s, 0); split && m < micros; ++m) list.push_back({Do::kWeight, 0, m});
  return list;
}

// All forwards, then all backwards, then all weights.
inline StageList all_forwards_first(int64_t chunks, int64_t micros, bool split) {
  StageList list;
  for (int64_t c = 0; c < chunks; ++c) {
    for (int64_t m = 0; m < micros; ++m) list.push_back({Do::kForward, c, m});
  }
  for (const Do what : {Do::kBackward, Do::kWeight}) {
    if (what == Do::kWeight && !split) break;
    for (int64_t c = chunks; c-- > 0;) {
      for (int64_t m = 0; m < micros; ++m) list.push_back({what, c, m});
    }
  }
  return list;
}

// All stages in one thread. What crosses a boundary is copied out and in, as between processes.
class CutModel {
 public:
  CutModel(const TransformerConfig& config, int64_t stages, int64_t chunks, const CutOptions& options, size_t slots)
      : config_(config), slots_(slots) {
    JobSpec spec;
    spec.model.config = config;
    spec.parallel.stages = stages;
    spec.parallel.chunks = chunks;
    cut_ = cut_model(spec).value();
    table_ = job_parameter_table(spec);
    const std::vector<float> global = test_weights(table_);
    for (const Stage& stage : cut_.stages) stages_.emplace_back(config, stage, machine_, global, options, slots);
  }

  const StageCut& cut() const { return cut_; }

  Outcome train(std::vector<TestBatch>& micros, const std::vector<StageList>& lists) {
    run(micros, lists, Mode::kTrain);
    return {losses_, gathered()};
  }
  // Losses without dropout and without gradients.
  std::vector<double> evaluate(std::vector<TestBatch>& micros) {
    const auto chunks = static_cast<int64_t>(cut_.stages.front().chunks.size());
    StageList forwards = all_forwards_first(chunks, static_cast<int64_t>(micros.size()), /*split=*/false);
    forwards.resize(forwards.size() / 2);
    run(micros, std::vector<StageList>(stages_.size(), forwards), Mode::kEvaluate);
    return losses_;
  }

 private:
  using Key = std::pair<int64_t, int64_t>;  // run, micro batch
  using Messages = std::map<Key, std::vector<float>>;

  void run(std::vector<TestBatch>& micros, const std::vector<StageList>& lists, Mode mode) {
    for (StageOfModel& stage : stages_) std::ranges::fill(stage.gradient, 0.0f);
    losses_.assign(micros.size(), 0);
    activations_.clear();
    gradients_.clear();
    std::vector<size_t> next(lists.size());
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t s = 0; s < lists.size(); ++s) {
        if (next[s] == lists[s].size() || !can_run(s, lists[s][next[s]])) continue;
        perform(s, lists[s][next[s]++], micros, mode);
        moved = true;
      }
    }
    for (size_t s = 0; s < lists.size(); ++s) STRAND_CHECK(next[s] == lists[s].size(), "stage ", s, " waits for ever");
  }

  int64_t run_of(size_t stage, const Instruct& i) const {
    return i.chunk * static_cast<int64_t>(stages_.size()) + static_cast<int64_t>(stage);
  }
  bool can_run(size_t stage, const Instruct& i) const {
    const int64_t run = run_of(stage, i);
    if (i.what == Do::kForward) return run == 0 || activations_.contains({run, i.micro});
    return i.what == Do::kWeight || run + 1 == cut_.runs() || gradients_.contains({run, i.micro});
  }

  static std::vector<float> take_out(ConstMatrix m) { return {m.f32(), m.f32() + m.rows * m.cols}; }
  static void put_in(Messages* messages, const Key& key, Matrix to) {
    const std::vector<float>& from = messages->at(key);
    STRAND_CHECK(static_cast<int64_t>(from.size()) == to.rows * to.cols && to.stride == to.cols);
    std::memcpy(to.data, from.data(), from.size() * sizeof(float));
    messages->erase(key);
  }

  void perform(size_t s, const Instruct& i, std::vector<TestBatch>& micros, Mode mode) {
    StageOfModel& stage = stages_[s];
    Transformer& model = stage.runs[static_cast<size_t>(i.chunk)];
    const int64_t run = run_of(s, i);
    MicroBatch batch = micros[static_cast<size_t>(i.micro)].view();
    batch.slot = static_cast<size_t>(i.micro) % slots_;
    // What a run in the middle does not get from the data server.
    if (!model.run().has_input) batch.ids = nullptr;
    if (!model.run().has_output) batch.targets = nullptr;
    const Gradients gradients{stage.gradient.data()};
    const OpContext& context = machine_.context;
    if (i.what == Do::kWeight) return model.backward_weight(context, stage.view(), batch, gradients);
    if (i.what == Do::kForward) {
      if (run > 0) put_in(&activations_, {run, i.micro}, model.input(batch.slot, batch.tokens()));
      model.forward(context, stage.view(), batch, mode);
      if (run + 1 < cut_.runs()) {
        activations_[{run + 1, i.micro}] = take_out(model.hidden(model.run().end_block(), batch.slot));
      } else if (mode == Mode::kEvaluate) {
        losses_[static_cast<size_t>(i.micro)] = model.loss(context, stage.view(), batch, nullptr).loss;
      }
      return;
    }
    if (run + 1 < cut_.runs()) {
      put_in(&gradients_, {run, i.micro}, model.d_stream(batch.tokens()));
    } else {
      losses_[static_cast<size_t>(i.micro)] = model.loss(context, stage.view(), batch, &gradients).loss;
    }
    model.backward(context, stage.view(), batch, gradients);
    if (run > 0) gradients_[{run - 1, i.micro}] = take_out(model.d_stream(batch.tokens()));
  }

  // The owners' gradients in the table's order; the two uses of a tied embedding added once, by its owner.
  std::vector<float> gathered() {
    if (cut_.tied) {
      StageOfModel& owner = stages_[static_cast<size_t>(cut_.tied->owner_stage)];
      const StageOfModel& output = stages_[static_cast<size_t>(cut_.tied->output_stage)];
      add(machine_.context, output.gradient.data() + cut_.tied->output_gradient_first, cut_.tied->elements,
          owner.gradient.data() + cut_.tied->input_gradient_first);
    }
    std::vector<float> all(static_cast<size_t>(table_.back().first_element + table_.back().elements));
    for (size_t s = 0; s < stages_.size(); ++s) {
      for (const StageTensor& tensor : cut_.stages[s].tensors) {
        if (!tensor.owned) continue;
        std::copy_n(stages_[s].gradient.begin() + tensor.local_first, tensor.parameter.elements,
                    all.begin() + tensor.parameter.first_element);
      }
    }
    return all;
  }

  TransformerConfig config_;
  size_t slots_;
  Machine machine_{1, Backend::kCpu};
  StageCut cut_;
  std::vector<ParameterInfo> table_;
  std::vector<StageOfModel> stages_;
  std::vector<double> losses_;
  Messages activations_, gradients_;  // by the run that takes them
};

// The whole model in one run, a micro batch after the other, as Learner::learn does it.
struct WholeModel {
  explicit WholeModel(const TransformerConfig& config, const CutOptions& options = {}, size_t slots = 1)
      : table(parameter_table(config)),
        weights(test_weights(table)),
        bf16(rounded(machine, weights, options.dtype)),
        model(config, table,
              {.dtype = options.dtype,
               .rows = 3,
               .segment = 7,
               .seed = 5,
               .slots = slots,
               .recompute = options.recompute,
               .split_backward = options.split}) {}

  Weights view() const { return {weights.data(), bf16.empty() ? nullptr : bf16.data()}; }
  double evaluate(TestBatch& batch) {
    model.forward(machine.context, view(), batch.view(), Mode::kEvaluate);
    return model.loss(machine.context, view(), batch.view(), nullptr).loss;
  }
  Outcome train(std::vector<TestBatch>& micros) {
    Outcome outcome;
    outcome.gradient.resize(static_cast<size_t>(model.layout().gradients));
    const Gradients gradients{outcome.gradient.data()};
    for (TestBatch& micro : micros) {
      const MicroBatch batch = micro.view();
      model.forward(machine.context, view(), batch, Mode::kTrain);
      outcome.losses.push_back(model.loss(machine.context, view(), batch, &gradients).loss);
      model.backward(machine.context, view(), batch, gradients);
      model.backward_weight(machine.context, view(), batch, gradients);
    }
    model.fold_tied(machine.context, gradients);
    outcome.gradient.resize(static_cast<size_t>(model.layout().parameters));
    return outcome;
  }

  Machine machine{1, Backend::kCpu};
  std::vector<ParameterInfo> table;
  std::vector<float> weights;
  std::vector<BFloat16> bf16;
  Transformer model;
};

}  // namespace strand::testing
