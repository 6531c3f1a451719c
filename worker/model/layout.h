// Where each parameter of the transformer lies in the flat arrays of weights and gradients.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/core/matrix.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/stage_cut.h"

namespace strand {

// One tensor; absent (no bias, no affine, not part of this model) when offset < 0. A vector has one row.
struct TensorSlot {
  int64_t offset = -1;
  int64_t rows = 0, cols = 0;
  bool present() const { return offset >= 0; }
};

struct AffineSlots {
  TensorSlot weight, bias;
};

struct InputSlots {
  TensorSlot embedding, project_in, token_type, position;
  AffineSlots norm;
};

struct BlockSlots {
  AffineSlots attention_norm, qkv, out, mlp_norm, up, down;
};

struct HeadSlots {
  AffineSlots transform, transform_norm;
  TensorSlot project_out;
  TensorSlot weight;  // the embedding's memory, or a copy of it, when tied
  // Tied: memory of its own (DESIGN section 5, Tied embeddings). Behind the parameters, or, where the matrix is a copy
  // borrowed from another stage, at the copy's place, where no other gradient goes.
  TensorSlot weight_gradient;
  TensorSlot bias;
};

// Of a run of blocks; what is not part of it is absent.
struct ModelLayout {
  InputSlots input;
  std::vector<BlockSlots> blocks;  // of the run
  AffineSlots final_norm;
  HeadSlots head;          // all absent without a token head
  int64_t parameters = 0;  // elements of the table
  int64_t gradients = 0;   // elements of a gradient buffer: parameters, and V x e more when tied, with a token head and
                           // not borrowed. A stage's buffers are as its largest chunk's: Stage::gradient_elements
};

// Looks every tensor of the run up by name and checks its shape; a table of another model is a defect of ours. table:
// the whole model's, or a stage's local one (shared/plan/stage_cut.h). token_head: the model has logits over the
// vocabulary; false when another head reads its hidden states.
ModelLayout model_layout(const TransformerConfig& config, const std::vector<ParameterInfo>& table, const ModelRun& run,
                         bool token_head);
// The whole model.
ModelLayout model_layout(const TransformerConfig& config, const std::vector<ParameterInfo>& table,
                         bool token_head = true);

// The weights one step computes with: fp32, or matrices rounded to bf16 with norms and biases in fp32.
struct Weights {
  const float* f32 = nullptr;
  const BFloat16* bf16 = nullptr;  // null: fp32 throughout

  ConstMatrix matrix(const TensorSlot& slot) const {
    if (bf16 != nullptr) return {bf16 + slot.offset, DType::kBF16, slot.rows, slot.cols};
    return {f32 + slot.offset, DType::kF32, slot.rows, slot.cols};
  }
  const float* vector(const TensorSlot& slot) const { return slot.present() ? f32 + slot.offset : nullptr; }
};

// A gradient buffer of ModelLayout::gradients floats, which backward adds to.
struct Gradients {
  float* f32 = nullptr;

  Matrix matrix(const TensorSlot& slot) const { return {f32 + slot.offset, DType::kF32, slot.rows, slot.cols}; }
  float* vector(const TensorSlot& slot) const { return slot.present() ? f32 + slot.offset : nullptr; }
};

}  // namespace strand
