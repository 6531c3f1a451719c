#include "shared/plan/stage_cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "shared/base/text.h"

namespace strand {
namespace {

JobSpec job_of(const std::string& preset, bool finetune, int64_t stages, int64_t chunks) {
  JobSpec spec;
  spec.model.config = preset_config(preset).value();
  spec.parallel.stages = stages;
  spec.parallel.chunks = chunks;
  if (finetune) {
    spec.job.kind = "finetune";
    spec.task.kind = TaskKind::kClassify;
    spec.task.classes = 3;
  }
  return spec;
}

using OnCut = std::function<void(const JobSpec&, const StageCut&, const std::string& what)>;

// Every preset, pretrained and finetuned, in every legal shape.
void for_every_cut(const OnCut& check) {
  for (const std::string& preset : preset_names()) {
    const int64_t layers = preset_config(preset)->layers;
    for (const bool finetune : {false, true}) {
      for (int64_t stages = 1; stages <= layers; ++stages) {
        for (int64_t chunks = 1; stages * chunks <= layers; ++chunks) {
          const JobSpec spec = job_of(preset, finetune, stages, chunks);
          const auto cut = cut_model(spec);
          ASSERT_TRUE(cut.ok()) << cut.error().message();
          check(spec, *cut, concat(preset, finetune ? " finetuned " : " ", stages, " x ", chunks));
        }
      }
    }
  }
}

double flops_of(const FlopsParts& parts, const ModelRun& run) {
  return static_cast<double>(run.blocks) * parts.block + (run.has_input ? parts.input : 0) +
         (run.has_output ? parts.output : 0);
}

TEST(StageCut, RunsAreContiguousAndCoverTheModel) {
  for_every_cut([](const JobSpec& spec, const StageCut& cut, const std::string& what) {
    ASSERT_EQ(static_cast<int64_t>(cut.stages.size()), spec.parallel.stages) << what;
    ASSERT_EQ(cut.runs(), spec.parallel.stages * spec.parallel.chunks) << what;
    int64_t block = 0;
    for (int64_t r = 0; r < cut.runs(); ++r) {
      const ModelRun& run = cut.run(r);
      EXPECT_EQ(run, cut.stages[static_cast<size_t>(r % spec.parallel.stages)]
                         .chunks[static_cast<size_t>(r / spec.parallel.stages)]);
      EXPECT_EQ(run.first_block, block) << what << " run " << r;
      EXPECT_GE(run.blocks, 1) << what << " run " << r;
      EXPECT_EQ(run.has_input, r == 0) << what;
      EXPECT_EQ(run.has_output, r + 1 == cut.runs()) << what;
      block = run.end_block();
    }
    EXPECT_EQ(block, spec.model.config.layers) << what;
  });
}

TEST(StageCut, EveryTensorIsOwnedOnceAsTheTableHasIt) {
  for_every_cut([](const JobSpec& spec, const StageCut& cut, const std::string& what) {
    const std::vector<ParameterInfo> table = job_parameter_table(spec);
    std::vector<int> owners(table.size());
    for (size_t s = 0; s < cut.stages.size(); ++s) {
      const Stage& stage = cut.stages[s];
      int64_t local = 0, owned = 0, before = -1;
      for (const StageTensor& tensor : stage.tensors) {
        const ParameterInfo& global = table[static_cast<size_t>(tensor.table_index)];
        ASSERT_EQ(tensor.parameter.name, global.name) << what;
        EXPECT_EQ(tensor.parameter.first_element, global.first_element) << what << global.name;
        EXPECT_EQ(tensor.parameter.shape, global.shape) << what << global.name;
        EXPECT_EQ(tensor.local_first, local) << what << global.name;
        local += global.elements;
        if (!tensor.owned) continue;
        EXPECT_GT(tensor.table_index, before) << what << ": owned tensors stand in the table's order";
        EXPECT_EQ(owned, tensor.local_first) << what << ": a borrowed tensor stands before " << global.name;
        owned += global.elements;
        before = tensor.table_index;
        ++owners[static_cast<size_t>(tensor.table_index)];
      }
      EXPECT_EQ(stage.elements, local) << what;
      EXPECT_EQ(stage.owned_elements, owned) << what;
      EXPECT_GE(stage.gradient_elements, stage.elements) << what;
    }
    EXPECT_TRUE(std::ranges::all_of(owners, [](int n) { return n == 1; })) << what;
  });
}

// What a run computes with is in its stage.
TEST(StageCut, TensorsAreWhereTheirBlockIs) {
  for_every_cut([](const JobSpec&, const StageCut& cut, const std::string& what) {
    for (const Stage& stage : cut.stages) {
      std::set<std::string> blocks, found;
      for (const ModelRun& run : stage.chunks) {
        for (int64_t b = run.first_block; b < run.end_block(); ++b) blocks.insert(concat("blocks.", b));
        if (run.has_input) blocks.insert("embedding.weight");
        if (run.has_output) blocks.insert("out");
      }
      for (const StageTensor& tensor : stage.tensors) {
        const std::string& name = tensor.parameter.name;
        if (!tensor.owned) continue;
        if (name.starts_with("blocks.")) {
          found.insert(name.substr(0, name.find('.', 7)));
        } else if (name == "embedding.weight") {
          found.insert(name);
        } else if (name.starts_with("head.") || name.starts_with("final_norm.") || name.starts_with("task.")) {
          found.insert("out");
        } else {
          EXPECT_TRUE(stage.chunks.front().has_input) << what << " " << name;
        }
      }
      blocks.erase("out");  // a tied model without norms and biases owns nothing there
      for (const std::string& block : blocks) EXPECT_TRUE(found.contains(block)) << what << " " << block;
      if (found.contains("out")) {
        EXPECT_TRUE(stage.chunks.back().has_output) << what;
      }
    }
  });
}

// The smallest largest run of all ways to give each of `runs` at least one block: every size that a largest run can
// have is tried, from the smallest on.
double best_largest_run(const FlopsParts& parts, int64_t layers, int64_t runs) {
  std::vector<double> candidates;
  for (int64_t n = 1; n <= layers; ++n) {
    for (const double extra : {0.0, parts.input, parts.output, parts.input + parts.output}) {
      candidates.push_back(static_cast<double>(n) * parts.block + extra);
    }
  }
  std::ranges::sort(candidates);
  for (const double limit : candidates) {
    int64_t room = 0;
    bool possible = true;
    for (int64_t r = 0; r < runs; ++r) {
      const double extra = (r == 0 ? parts.input : 0) + (r + 1 == runs ? parts.output : 0);
      const auto blocks = static_cast<int64_t>((limit - extra) / parts.block);
      possible = possible && limit >= extra + parts.block;
      room += std::max<int64_t>(blocks, 0);
    }
    if (possible && room >= layers) return limit;
  }
  return 0;
}

TEST(StageCut, LargestRunIsAsSmallAsItCanBe) {
  for_every_cut([](const JobSpec& spec, const StageCut& cut, const std::string& what) {
    const FlopsParts parts = job_flops_parts(spec);
    double largest = 0, total = 0;
    for (int64_t r = 0; r < cut.runs(); ++r) {
      largest = std::max(largest, flops_of(parts, cut.run(r)));
      total += flops_of(parts, cut.run(r));
    }
    EXPECT_EQ(total, job_flops_per_token(spec)) << what;
    EXPECT_EQ(largest, best_largest_run(parts, spec.model.config.layers, cut.runs())) << what;
    const double bound =
        std::max({total / static_cast<double>(cut.runs()), parts.block + parts.input, parts.block + parts.output});
    EXPECT_LE(largest, bound + parts.block) << what;
    double stages = 0;
    for (const Stage& stage : cut.stages) {
      double chunks = 0;
      for (const ModelRun& run : stage.chunks) chunks += flops_of(parts, run);
      EXPECT_EQ(stage.flops, chunks) << what;
      stages += stage.flops;
    }
    EXPECT_EQ(stages, total) << what;
  });
}

// The head of a large vocabulary takes blocks from the last run.
TEST(StageCut, HeadAndEmbeddingsCount) {
  const auto plain = cut_model(job_of("nt-v1-500m", /*finetune=*/true, 4, 1)).value();
  const auto headed = cut_model(job_of("opt-350m", /*finetune=*/false, 4, 1)).value();
  EXPECT_EQ(plain.run(0).blocks, 6);
  EXPECT_EQ(plain.run(3).blocks, 6);
  EXPECT_LT(headed.run(3).blocks, headed.run(1).blocks);
}

TEST(StageCut, TiedEmbeddingsHaveOneOwnerAndTwoGradients) {
  int tied = 0;
  for_every_cut([&](const JobSpec& spec, const StageCut& cut, const std::string& what) {
    const bool expected = spec.model.config.tied && spec.job.kind == "pretrain";
    ASSERT_EQ(cut.tied.has_value(), expected) << what;
    std::vector<std::pair<size_t, const StageTensor*>> copies;
    for (size_t s = 0; s < cut.stages.size(); ++s) {
      for (const StageTensor& tensor : cut.stages[s].tensors) {
        if (!tensor.owned) copies.emplace_back(s, &tensor);
      }
    }
    if (!expected) {
      EXPECT_TRUE(copies.empty()) << what;
      return;
    }
    ++tied;
    const Stage& owner = cut.stages[static_cast<size_t>(cut.tied->owner_stage)];
    const Stage& output = cut.stages[static_cast<size_t>(cut.tied->output_stage)];
    const StageTensor& embedding = owner.tensors.front();
    EXPECT_EQ(embedding.parameter.name, "embedding.weight");
    EXPECT_EQ(embedding.table_index, cut.tied->table_index);
    EXPECT_EQ(embedding.local_first, cut.tied->input_gradient_first);
    EXPECT_EQ(embedding.parameter.elements, cut.tied->elements);
    EXPECT_TRUE(output.chunks.back().has_output) << what;
    EXPECT_EQ(output.chunks.back().borrows_embedding, spec.parallel.stages > 1) << what;
    // The output use's gradient lies behind everything owned, in memory of its own.
    EXPECT_EQ(cut.tied->output_gradient_first, output.owned_elements) << what;
    EXPECT_EQ(output.gradient_elements, output.owned_elements + cut.tied->elements) << what;
    if (spec.parallel.stages == 1) {
      EXPECT_TRUE(copies.empty()) << what;
      return;
    }
    ASSERT_EQ(copies.size(), 1u) << what;
    EXPECT_EQ(static_cast<int64_t>(copies[0].first), cut.tied->output_stage) << what;
    EXPECT_EQ(copies[0].second->table_index, cut.tied->table_index) << what;
    EXPECT_EQ(copies[0].second->local_first, cut.tied->output_gradient_first) << what;
  });
  EXPECT_GT(tied, 0);
}

TEST(StageCut, LocalTablesAreFlat) {
  for_every_cut([](const JobSpec&, const StageCut& cut, const std::string& what) {
    for (const Stage& stage : cut.stages) {
      int64_t next = 0;
      for (const ParameterInfo& tensor : local_table(stage)) {
        EXPECT_EQ(tensor.first_element, next) << what << " " << tensor.name;
        next += tensor.elements;
      }
      EXPECT_EQ(next, stage.elements) << what;
      const std::vector<ParameterInfo> owned = owned_table(stage);
      next = owned.empty() ? 0 : owned.back().first_element + owned.back().elements;
      EXPECT_EQ(next, stage.owned_elements) << what;
    }
  });
}

TEST(StageCut, OneStageIsTheModelItself) {
  for (const std::string& preset : preset_names()) {
    const JobSpec spec = job_of(preset, /*finetune=*/false, 1, 1);
    const StageCut cut = cut_model(spec).value();
    EXPECT_EQ(cut.run(0), whole_model(spec.model.config));
    const std::vector<ParameterInfo> table = job_parameter_table(spec), local = local_table(cut.stages[0]);
    ASSERT_EQ(local.size(), table.size());
    for (size_t i = 0; i < table.size(); ++i) EXPECT_EQ(local[i].first_element, table[i].first_element);
  }
}

TEST(StageCut, RefusesWhatItCannotCut) {
  const auto message = [](int64_t stages, int64_t chunks) {
    const auto cut = cut_model(job_of("omni-dna-20m", /*finetune=*/false, stages, chunks));
    if (cut.ok()) return std::string("accepted");
    EXPECT_EQ(cut.error().code(), ErrorCode::kBadInput);
    return cut.error().message();
  };
  EXPECT_NE(message(9, 1).find("8 blocks; make stages x chunks at most 8"), std::string::npos) << message(9, 1);
  EXPECT_NE(message(3, 3).find("stages x chunks"), std::string::npos);
  EXPECT_NE(message(0, 1).find("parallel.stages: must be at least 1"), std::string::npos);
  EXPECT_NE(message(1, -2).find("parallel.chunks: must be at least 1"), std::string::npos);
  EXPECT_NE(message(int64_t{1} << 40, int64_t{1} << 40).find("stages x chunks"), std::string::npos);
  EXPECT_EQ(message(2, 4), "accepted");
}

}  // namespace
}  // namespace strand
