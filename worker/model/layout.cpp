#include "worker/model/layout.h"

#include <string>
#include <unordered_map>

#include "shared/base/check.h"

namespace strand {
namespace {

class SlotFinder {
 public:
  explicit SlotFinder(const std::vector<ParameterInfo>& table) {
    for (const ParameterInfo& tensor : table) by_name_[tensor.name] = &tensor;
  }

  TensorSlot matrix(const std::string& name, int64_t rows, int64_t cols) const { return find(name, rows, cols); }
  TensorSlot vector(const std::string& name, int64_t size) const { return find(name, 1, size); }
  AffineSlots norm(const std::string& name, const TransformerConfig& config) const {
    AffineSlots slots;
    if (config.norm != NormKind::kLayerNoAffine) slots.weight = vector(name + ".weight", config.hidden);
    if (config.norm == NormKind::kLayer) slots.bias = vector(name + ".bias", config.hidden);
    return slots;
  }
  AffineSlots linear(const std::string& name, int64_t out, int64_t in, bool bias) const {
    AffineSlots slots;
    slots.weight = matrix(name + ".weight", out, in);
    if (bias) slots.bias = vector(name + ".bias", out);
    return slots;
  }

 private:
  TensorSlot find(const std::string& name, int64_t rows, int64_t cols) const {
    const auto found = by_name_.find(name);
    STRAND_CHECK(found != by_name_.end(), "no parameter ", name);
    STRAND_CHECK(found->second->elements == rows * cols, name, " has ", found->second->elements, " elements, expected ",
                 rows, " x ", cols);
    return {found->second->first_element, rows, cols};
  }

  std::unordered_map<std::string, const ParameterInfo*> by_name_;
};

}  // namespace

static InputSlots input_slots(const TransformerConfig& config, const SlotFinder& find) {
  const int64_t d = config.hidden, e = config.embedding_size();
  InputSlots input;
  input.embedding = find.matrix("embedding.weight", config.vocabulary, e);
  if (config.projected()) input.project_in = find.matrix("embedding.project_in.weight", d, e);
  if (config.token_types > 0) input.token_type = find.matrix("token_type.weight", config.token_types, d);
  if (config.positions == PositionKind::kLearned) {
    input.position = find.matrix("position.weight", config.max_sequence + config.position_offset, d);
  }
  if (config.embedding_norm) input.norm = find.norm("embedding_norm", config);
  return input;
}

static HeadSlots head_slots(const TransformerConfig& config, const SlotFinder& find) {
  const int64_t d = config.hidden, e = config.embedding_size();
  HeadSlots head;
  if (config.head == HeadKind::kMaskedLm) {
    head.transform = find.linear("head.transform", d, d, /*bias=*/true);
    head.transform_norm = find.norm("head.transform_norm", config);
  }
  if (config.projected()) head.project_out = find.matrix("head.project_out.weight", e, d);
  if (config.head_bias) head.bias = find.vector("head.bias", config.vocabulary);
  if (!config.tied) head.weight = head.weight_gradient = find.matrix("head.weight", config.vocabulary, e);
  return head;
}

ModelLayout model_layout(const TransformerConfig& config, const std::vector<ParameterInfo>& table, bool token_head) {
  return model_layout(config, table, whole_model(config), token_head);
}

ModelLayout model_layout(const TransformerConfig& config, const std::vector<ParameterInfo>& table, const ModelRun& run,
                         bool token_head) {
  const SlotFinder find(table);
  const int64_t d = config.hidden, m = config.mlp_hidden;
  ModelLayout layout;
  for (const ParameterInfo& tensor : table) layout.parameters += tensor.elements;
  layout.gradients = layout.parameters;
  if (run.has_input) layout.input = input_slots(config, find);
  for (int64_t l = run.first_block; l < run.end_block(); ++l) {
    const std::string name = concat("blocks.", l, ".");
    BlockSlots block;
    block.attention_norm = find.norm(name + "attention_norm", config);
    block.qkv = find.linear(name + "attention.qkv", 3 * d, d, config.bias);
    block.out = find.linear(name + "attention.out", d, d, config.bias);
    block.mlp_norm = find.norm(name + "mlp_norm", config);
    block.up = find.linear(name + "mlp.up", config.mlp_up_rows(), d, config.mlp_up_bias);
    block.down = find.linear(name + "mlp.down", d, m, config.mlp_down_bias);
    layout.blocks.push_back(block);
  }
  if (!run.has_output) return layout;
  if (config.final_norm) layout.final_norm = find.norm("final_norm", config);
  if (!token_head) return layout;
  layout.head = head_slots(config, find);
  if (!config.tied) return layout;
  const int64_t v = config.vocabulary, e = config.embedding_size();
  layout.head.weight = layout.head.weight_gradient = find.matrix("embedding.weight", v, e);
  if (!run.borrows_embedding) {
    layout.head.weight_gradient.offset = layout.parameters;
    layout.gradients += v * e;
  }
  return layout;
}

}  // namespace strand
