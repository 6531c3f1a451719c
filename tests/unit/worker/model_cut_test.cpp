// Any cut of a model into runs of blocks, in any order that a schedule may have, gives the bits of the whole model.
#include <gtest/gtest.h>

#include "tests/unit/worker/cut_case.h"
#include "tests/unit/worker/model_case.h"
#include "worker/trainer_impl.h"

namespace strand {
namespace {

using testing::all_forwards_first;
using testing::CutModel;
using testing::CutOptions;
using testing::micro_batches;
using testing::name_of;
using testing::one_forward_one_backward;
using testing::Outcome;
using testing::StageList;
using testing::TestBatch;
using testing::WholeModel;

constexpr int64_t kMicros = 5;

// One of every family and what no family has, with five blocks (which no cut here divides) and every dropout.
std::vector<TransformerConfig> cut_configs() {
  std::vector<TransformerConfig> configs = testing::medium_configs();
  for (const TransformerConfig& config : testing::unusual_configs()) configs.push_back(config);
  for (TransformerConfig& config : configs) {
    config.layers = 5;
    config.dropout = config.embedding_dropout = 0.2;
  }
  return configs;
}

struct Shape {
  int64_t stages, chunks;
};
constexpr Shape kShapes[] = {{2, 1}, {3, 1}, {4, 1}, {1, 2}, {1, 3}, {2, 2}, {1, 4}};

std::vector<StageList> lists_of(const Shape& shape, bool split) {
  std::vector<StageList> lists;
  for (int64_t s = 0; s < shape.stages; ++s) {
    lists.push_back(shape.chunks == 1 ? one_forward_one_backward(shape.stages, s, kMicros, split)
                                      : all_forwards_first(shape.chunks, kMicros, split));
  }
  return lists;
}

// Slots that the lists above need: 1F1B holds a micro batch for each stage, the other all of them.
size_t slots_of(const Shape& shape) {
  return static_cast<size_t>(shape.chunks == 1 ? shape.stages : kMicros);
}

std::string what(const TransformerConfig& config, const Shape& shape, DType dtype) {
  return concat(shape.stages, " stages x ", shape.chunks, " chunks ", dtype_name(dtype), " ", name_of(config));
}

void expect_same(const Outcome& expected, const Outcome& found, const std::string& what) {
  EXPECT_EQ(expected.losses, found.losses) << what;
  ASSERT_EQ(expected.gradient.size(), found.gradient.size()) << what;
  // Bits, so that -0 is not 0 and a NaN is itself.
  EXPECT_EQ(std::memcmp(expected.gradient.data(), found.gradient.data(), found.gradient.size() * sizeof(float)), 0)
      << what;
}

// Every configuration, number type and shape.
template <class Body>
void for_every_cut(const Body& body) {
  for (const TransformerConfig& config : cut_configs()) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const Shape& shape : kShapes) body(config, dtype, shape);
    }
  }
}

TEST(ModelCut, GivesTheBitsOfTheWhole) {
  for_every_cut([](const TransformerConfig& config, DType dtype, const Shape& shape) {
    std::vector<TestBatch> micros = micro_batches(config, kMicros);
    const Outcome whole = WholeModel(config, {.dtype = dtype}).train(micros);
    CutModel cut(config, shape.stages, shape.chunks, {.dtype = dtype}, slots_of(shape));
    expect_same(whole, cut.train(micros, lists_of(shape, /*split=*/false)), what(config, shape, dtype));
  });
}

// What the comparison above would miss if it compared nothing.
TEST(ModelCut, MicroBatchesAndBlocksAllMatter) {
  for (const TransformerConfig& config : cut_configs()) {
    std::vector<TestBatch> micros = micro_batches(config, kMicros);
    WholeModel whole(config);
    const Outcome first = whole.train(micros);
    for (size_t i = 0; i < first.losses.size(); ++i) {
      for (size_t j = 0; j < i; ++j) EXPECT_NE(first.losses[i], first.losses[j]) << name_of(config);
    }
    for (const ParameterInfo& tensor : whole.table) {
      if (!config.attention && tensor.name.find(".attention") != std::string::npos) continue;
      const auto begin = first.gradient.begin() + tensor.first_element;
      EXPECT_TRUE(std::any_of(begin, begin + tensor.elements, [](float g) { return g != 0; }))
          << name_of(config) << " " << tensor.name;
    }
    std::swap(micros[0], micros[3]);
    EXPECT_NE(first.gradient, whole.train(micros).gradient) << "the order of sums shows: " << name_of(config);
  }
}

TEST(ModelCut, EvaluatesToTheBitsOfTheWhole) {
  for_every_cut([](const TransformerConfig& config, DType dtype, const Shape& shape) {
    std::vector<TestBatch> micros = micro_batches(config, 2);
    WholeModel whole(config, {.dtype = dtype});
    std::vector<double> losses;
    for (TestBatch& micro : micros) losses.push_back(whole.evaluate(micro));
    CutModel cut(config, shape.stages, shape.chunks, {.dtype = dtype}, 2);
    EXPECT_EQ(losses, cut.evaluate(micros)) << what(config, shape, dtype);
  });
}

TEST(ModelCut, WeightGradientsMayWait) {
  for_every_cut([](const TransformerConfig& config, DType dtype, const Shape& shape) {
    std::vector<TestBatch> micros = micro_batches(config, kMicros);
    const Outcome whole = WholeModel(config, {.dtype = dtype}).train(micros);
    const CutOptions options{.dtype = dtype, .split = true};
    CutModel cut(config, shape.stages, shape.chunks, options, slots_of(shape));
    expect_same(whole, cut.train(micros, lists_of(shape, /*split=*/true)), what(config, shape, dtype));
  });
}

TEST(ModelCut, RecomputingGivesTheSameBits) {
  for (const bool split : {false, true}) {
    for_every_cut([&](const TransformerConfig& config, DType dtype, const Shape& shape) {
      std::vector<TestBatch> micros = micro_batches(config, kMicros);
      const Outcome whole = WholeModel(config, {.dtype = dtype}).train(micros);
      const CutOptions options{.dtype = dtype, .recompute = true, .split = split};
      expect_same(whole, WholeModel(config, options).train(micros), name_of(config));
      CutModel cut(config, shape.stages, shape.chunks, options, slots_of(shape));
      expect_same(whole, cut.train(micros, lists_of(shape, split)), what(config, shape, dtype));
    });
  }
}

// One run: backward and then its weights, a micro batch after the other, or all weights at the end.
TEST(ModelCut, TheTwoPartsOfBackwardAreTheWhole) {
  for (const TransformerConfig& config : cut_configs()) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      std::vector<TestBatch> micros = micro_batches(config, kMicros);
      const Outcome whole = WholeModel(config, {.dtype = dtype}).train(micros);
      const CutOptions options{.dtype = dtype, .split = true};
      expect_same(whole, WholeModel(config, options).train(micros), name_of(config));
      CutModel late(config, 1, 1, options, kMicros);
      expect_same(whole, late.train(micros, {all_forwards_first(1, kMicros, /*split=*/true)}), name_of(config));
    }
  }
}

// Rows of text with labels, as the data server sends them.
struct LabelledRows {
  LabelledRows(const JobSpec& spec, uint64_t first_row) {
    const int64_t rows = spec.train.micro_batch, segment = spec.data.segment;
    for (int64_t r = 0; r < rows; ++r) {
      lengths.push_back(static_cast<uint16_t>(segment - r));
      labels.push_back(static_cast<float>((static_cast<int64_t>(first_row) + r) % 3));
      for (int64_t i = 0; i < segment; ++i) {
        const float u = (testing::draw(40 + first_row + static_cast<uint64_t>(r), static_cast<uint64_t>(i)) + 1) / 2;
        tokens.push_back(static_cast<uint16_t>(u * static_cast<float>(spec.model.config.vocabulary)));
      }
    }
    batch = {.first_row = first_row,
             .rows = rows,
             .segment = segment,
             .tokens = tokens.data(),
             .lengths = lengths.data(),
             .targets = nullptr,
             .labels = spec.job.kind == "finetune" ? labels.data() : nullptr,
             .labels_per_row = spec.job.kind == "finetune" ? 1 : 0};
  }
  std::vector<uint16_t> tokens, lengths;
  std::vector<float> labels;
  Batch batch;
};

// A small job over two stages or two chunks; finetuning with a task's head, its dropout included.
JobSpec learner_job(bool finetune, const Shape& shape) {
  JobSpec spec = testing::small_job();
  spec.model.config.layers = 3;
  spec.model.config.dropout = 0.1;
  spec.parallel.stages = shape.stages;
  spec.parallel.chunks = shape.chunks;
  if (finetune) {
    spec.job.kind = "finetune";
    spec.task.kind = TaskKind::kClassify;
    spec.task.classes = 3;
  }
  return spec;
}

// The stages of a job as their workers hold them, one after the other for each micro batch.
struct StagedLearners {
  explicit StagedLearners(const JobSpec& job, const std::vector<float>& global)
      : spec(job), cut(cut_model(job).value()) {
    for (const Stage& stage : cut.stages) {
      learners.emplace_back(spec, stage.chunks, local_table(stage), LearnerOptions{});
      std::vector<float> local;
      for (const StageTensor& tensor : stage.tensors) {
        const auto from = global.begin() + tensor.parameter.first_element;
        local.insert(local.end(), from, from + tensor.parameter.elements);
      }
      weights.push_back(std::move(local));
      gradients.emplace_back(static_cast<size_t>(learners.back().gradient_elements()));
      EXPECT_EQ(static_cast<int64_t>(gradients.back().size()), stage.gradient_elements);
    }
  }
  size_t stage_of(int64_t run) const { return static_cast<size_t>(run) % cut.stages.size(); }
  RunPlace place_of(int64_t run) const { return {static_cast<size_t>(run) / cut.stages.size(), 0}; }

  // Through all runs; the last one's outputs are left to the caller.
  void forward(const OpContext& context, const PreparedBatch& batch, Mode mode) {
    const int64_t tokens = batch.view().tokens();
    for (int64_t run = 0; run < cut.runs(); ++run) {
      Learner& learner = learners[stage_of(run)];
      if (run > 0) {
        const ConstMatrix from = learners[stage_of(run - 1)].output(place_of(run - 1));
        copy(context, from, learner.input(place_of(run), tokens));
      }
      learner.forward(context, {weights[stage_of(run)].data()}, batch, place_of(run), mode);
    }
  }
  LossSum learn(const OpContext& context, const PreparedBatch& batch) {
    forward(context, batch, Mode::kTrain);
    LossSum loss;
    const int64_t tokens = batch.view().tokens();
    for (int64_t run = cut.runs(); run-- > 0;) {
      const size_t stage = stage_of(run);
      Learner& learner = learners[stage];
      const bool last = run + 1 == cut.runs();
      if (!last && stage != stage_of(run + 1)) {
        copy(context, learners[stage_of(run + 1)].gradient(tokens), learner.gradient(tokens));
      }
      const Weights read{weights[stage].data()};
      const Gradients to{gradients[stage].data()};
      if (last) loss = learner.start_backward(context, read, batch, place_of(run), to);
      learner.backward(context, read, batch, place_of(run), to);
    }
    return loss;
  }
  LossSum measure(const OpContext& context, const PreparedBatch& batch, std::vector<float>* logits) {
    forward(context, batch, Mode::kEvaluate);
    const int64_t last = cut.runs() - 1;
    return learners[stage_of(last)].loss(context, {weights[stage_of(last)].data()}, batch, place_of(last), logits);
  }
  float gradient_of(const StageTensor& tensor, size_t stage, int64_t element) const {
    return gradients[stage][static_cast<size_t>(tensor.local_first + element)];
  }

  JobSpec spec;
  StageCut cut;
  std::vector<Learner> learners;
  std::vector<std::vector<float>> weights, gradients;
};

TEST(LearnerCut, StagesLearnAndMeasureAsTheWhole) {
  testing::Machine machine(1, Backend::kCpu);
  for (const bool finetune : {false, true}) {
    for (const Shape& shape : {Shape{1, 1}, Shape{2, 1}, Shape{3, 1}, Shape{1, 2}}) {
      const JobSpec spec = learner_job(finetune, shape);
      const std::vector<ParameterInfo> table = job_parameter_table(spec);
      const std::vector<float> global = testing::test_weights(table);
      Learner whole(spec, table, DType::kF32);
      StagedLearners staged(spec, global);
      std::vector<float> gradient(static_cast<size_t>(whole.gradient_elements()));
      for (const uint64_t row : {0, 3, 6}) {
        const LabelledRows rows(spec, row);
        PreparedBatch batch;
        const Status filled =
            batch.fill(rows.batch, spec.model.config, row, rows.batch.rows, rows.batch.segment, whole.head());
        ASSERT_TRUE(filled.ok()) << filled.error().message();
        const LossSum expected = whole.learn(machine.context, {global.data()}, batch, {gradient.data()});
        EXPECT_EQ(staged.learn(machine.context, batch).loss, expected.loss) << shape.stages << " x " << shape.chunks;
        std::vector<float> logits, found;
        const LossSum measured = whole.measure(machine.context, {global.data()}, batch, &logits);
        EXPECT_EQ(staged.measure(machine.context, batch, &found).loss, measured.loss);
        EXPECT_EQ(found, logits);
      }
      for (size_t s = 0; s < staged.cut.stages.size(); ++s) {
        for (const StageTensor& tensor : staged.cut.stages[s].tensors) {
          // The output use's gradient: behind the parameters in the whole model, at the copy's place in a stage.
          const int64_t first =
              tensor.owned ? tensor.parameter.first_element : table.back().first_element + table.back().elements;
          for (int64_t e = 0; e < tensor.parameter.elements; ++e) {
            ASSERT_EQ(staged.gradient_of(tensor, s, e), gradient[static_cast<size_t>(first + e)])
                << tensor.parameter.name << " " << e;
          }
        }
      }
      staged.learners.back().fold(machine.context, {staged.gradients.back().data()});
      whole.fold(machine.context, {gradient.data()});
      if (shape.stages == 1) {
        EXPECT_EQ(staged.gradients[0], gradient) << "one stage adds both uses by itself";
      }
    }
  }
}

}  // namespace
}  // namespace strand
