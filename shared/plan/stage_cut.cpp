#include "shared/plan/stage_cut.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <tuple>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

// Blocks of each run. Giving one block after another to the run that is smallest with it makes the largest run as small
// as it can be, because all blocks are alike.
std::vector<int64_t> deal_blocks(const FlopsParts& flops, int64_t layers, int64_t stages, int64_t runs) {
  std::vector<int64_t> blocks(static_cast<size_t>(runs), 1);
  std::vector<double> of_run(static_cast<size_t>(runs), flops.block), of_stage(static_cast<size_t>(stages));
  of_run.front() += flops.input;
  of_run.back() += flops.output;
  for (int64_t r = 0; r < runs; ++r) of_stage[static_cast<size_t>(r % stages)] += of_run[static_cast<size_t>(r)];
  for (int64_t dealt = runs; dealt < layers; ++dealt) {
    const auto load = [&](int64_t r) {
      return std::tuple(of_run[static_cast<size_t>(r)], of_stage[static_cast<size_t>(r % stages)], -r);
    };
    int64_t least = 0;
    for (int64_t r = 1; r < runs; ++r) least = load(r) < load(least) ? r : least;
    ++blocks[static_cast<size_t>(least)];
    of_run[static_cast<size_t>(least)] += flops.block;
    of_stage[static_cast<size_t>(least % stages)] += flops.block;
  }
  return blocks;
}

bool holds(const Stage& stage, int64_t part, const TransformerConfig& config) {
  return std::ranges::any_of(stage.chunks, [&](const ModelRun& run) {
    if (part == kInputPart) return run.has_input;
    if (part == output_part(config)) return run.has_output;
    return run.first_block <= part && part < run.end_block();
  });
}

void add_tensor(Stage* stage, const ParameterInfo& parameter, int64_t table_index, bool owned) {
  stage->tensors.push_back({parameter, table_index, stage->elements, owned});
  stage->elements += parameter.elements;
  stage->gradient_elements = stage->elements;
  if (owned) stage->owned_elements = stage->elements;
}

void add_tensors(const std::vector<ParameterInfo>& table, const TransformerConfig& config, Stage* stage) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (!holds(*stage, model_part(table[i].name, config), config)) continue;
    add_tensor(stage, table[i], static_cast<int64_t>(i), /*owned=*/true);
  }
}

void tie(const std::vector<ParameterInfo>& table, StageCut* cut) {
  const auto output_stage = static_cast<int64_t>(cut->stages.size()) - 1;
  const ParameterInfo& embedding = table.front();
  STRAND_CHECK(embedding.name == "embedding.weight", embedding.name);
  Stage& last = cut->stages.back();
  TiedEmbedding tied{.output_stage = output_stage, .elements = embedding.elements};
  tied.output_gradient_first = last.owned_elements;
  if (output_stage == 0) {
    last.gradient_elements += embedding.elements;
  } else {
    add_tensor(&last, embedding, 0, /*owned=*/false);
    last.chunks.back().borrows_embedding = true;
  }
  cut->tied = tied;
}

std::vector<ParameterInfo> table_of(const Stage& stage, bool owned_only) {
  std::vector<ParameterInfo> table;
  for (const StageTensor& tensor : stage.tensors) {
    if (owned_only && !tensor.owned) continue;
    table.push_back(tensor.parameter);
    table.back().first_element = tensor.local_first;
  }
  return table;
}

}  // namespace

int64_t model_part(const std::string& tensor, const TransformerConfig& config) {
  constexpr std::string_view kBlocks = "blocks.";
  if (tensor.starts_with(kBlocks)) {
    int64_t block = -1;
    std::from_chars(tensor.data() + kBlocks.size(), tensor.data() + tensor.size(), block);
    STRAND_CHECK(block >= 0 && block < config.layers, tensor);
    return block;
  }
  for (const char* behind : {"final_norm.", "head.", "task."}) {
    if (tensor.starts_with(behind)) return output_part(config);
  }
  return kInputPart;
}

ModelRun whole_model(const TransformerConfig& config) {
  return {.first_block = 0, .blocks = config.layers};
}

int64_t StageCut::runs() const {
  return static_cast<int64_t>(stages.size() * stages.front().chunks.size());
}

const ModelRun& StageCut::run(int64_t number) const {
  const auto all = static_cast<int64_t>(stages.size());
  return stages[static_cast<size_t>(number % all)].chunks[static_cast<size_t>(number / all)];
}

Result<StageCut> cut_model(const JobSpec& spec) {
  const int64_t layers = spec.model.config.layers, stages = spec.parallel.stages, chunks = spec.parallel.chunks;
  if (stages < 1) return bad_input(concat("parallel.stages: must be at least 1, found ", stages));
  if (chunks < 1) return bad_input(concat("parallel.chunks: must be at least 1, found ", chunks));
  if (stages > layers || chunks > layers / stages) {
    return bad_input(concat("parallel.stages: ", stages, " stages of ", chunks,
                            " chunks need as many runs of whole blocks, but the model has ", layers,
                            " blocks; make stages x chunks at most ", layers));
  }
  const FlopsParts flops = job_flops_parts(spec);
  const std::vector<int64_t> blocks = deal_blocks(flops, layers, stages, stages * chunks);
  StageCut cut;
  cut.stages.resize(static_cast<size_t>(stages));
  int64_t first = 0;
  for (int64_t r = 0; r < stages * chunks; ++r) {
    const int64_t taken = blocks[static_cast<size_t>(r)];
    const bool is_first = r == 0, is_last = r + 1 == stages * chunks;
    Stage& stage = cut.stages[static_cast<size_t>(r % stages)];
    stage.chunks.push_back({.first_block = first, .blocks = taken, .has_input = is_first, .has_output = is_last});
    stage.flops += static_cast<double>(taken) * flops.block + (is_first ? flops.input : 0);
    if (is_last) stage.flops += flops.output;
    first += taken;
  }
  const std::vector<ParameterInfo> table = job_parameter_table(spec);
  for (Stage& stage : cut.stages) add_tensors(table, spec.model.config, &stage);
  if (spec.model.config.tied && spec.job.kind != "finetune") tie(table, &cut);
  return cut;
}

std::vector<ParameterInfo> local_table(const Stage& stage) {
  return table_of(stage, /*owned_only=*/false);
}

std::vector<ParameterInfo> owned_table(const Stage& stage) {
  return table_of(stage, /*owned_only=*/true);
}

}  // namespace strand
