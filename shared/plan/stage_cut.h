// How a job's model is cut into stages and chunks: runs of whole blocks, balanced by FLOPs. A pure function of the job,
// so that coordinator and workers make the same cut without sending it.
//
// Run r is chunk r div stages of stage r mod stages: a forward visits the stages in turn, chunks times.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

// A run of whole blocks of the model.
struct ModelRun {
  int64_t first_block = 0, blocks = 0;
  bool has_input = true;   // the first run: the embeddings
  bool has_output = true;  // the last run: final norm and head, of tokens or of a task
  // The last run of a tied model whose embedding another stage owns: its output matrix is a copy.
  bool borrows_embedding = false;
  int64_t end_block() const { return first_block + blocks; }
  bool operator==(const ModelRun&) const = default;
};
// Of the model: a block, or what comes before or behind all blocks. A stage's chunks hold whole parts.
inline constexpr int64_t kInputPart = -1;
inline int64_t output_part(const TransformerConfig& config) {
  return config.layers;
}
// The part of a tensor of the parameter table.
int64_t model_part(const std::string& tensor, const TransformerConfig& config);

// All blocks in one run.
ModelRun whole_model(const TransformerConfig& config);

// A tensor of the job's parameter table in one stage.
struct StageTensor {
  ParameterInfo parameter;  // as job_parameter_table has it: first_element counts over the whole model
  int64_t table_index = 0;  // in job_parameter_table
  int64_t local_first = 0;  // its first element in the stage's flat arrays
  bool owned = true;        // false: a copy of another stage's tensor, which the stage reads and never updates
};

struct Stage {
  std::vector<ModelRun> chunks;      // in the model's order
  std::vector<StageTensor> tensors;  // owned ones in the table's order, then borrowed ones; contiguous from 0
  int64_t owned_elements = 0;        // what the stage updates and keeps moments of: local [0, owned_elements)
  int64_t elements = 0;              // of its array of weights
  int64_t gradient_elements = 0;     // of its gradient buffers, which also hold TiedEmbedding's output use
  double flops = 0;                  // a token, of all its chunks (job_flops_parts)
};

// The embedding of a tied model has two uses, in the first and in the last run. Their gradients are summed over micro
// batches and lanes apart; the owner adds input + output once, before the norm (DESIGN section 5, Tied embeddings).
struct TiedEmbedding {
  int64_t owner_stage = 0;   // of the first run: keeps the input use's gradient at the tensor's own place
  int64_t output_stage = 0;  // of the last run; the same one with one stage
  int64_t table_index = 0;
  int64_t elements = 0;
  int64_t input_gradient_first = 0;   // in the owner's gradient buffers
  int64_t output_gradient_first = 0;  // in the output stage's gradient buffers, and there of nothing else
};

struct StageCut {
  std::vector<Stage> stages;
  std::optional<TiedEmbedding> tied;  // of a tied model with a head over the vocabulary
  int64_t runs() const;
  const ModelRun& run(int64_t number) const;
};

// The cut for spec.parallel's stages and chunks. The largest run is as small as whole blocks allow, and within a
// block's FLOPs of the larger of the mean and of what one block with embeddings or head takes. Blocks that could go to
// several runs go to the stage with the least work, then to the later run, whose stage has fewer micro batches in
// flight. kBadInput, with the mend: stages or chunks below 1, or more runs than blocks.
Result<StageCut> cut_model(const JobSpec& spec);

// The stage's tensors with first_element in its own flat arrays: all of them, or those it owns.
std::vector<ParameterInfo> local_table(const Stage& stage);
std::vector<ParameterInfo> owned_table(const Stage& stage);

}  // namespace strand
