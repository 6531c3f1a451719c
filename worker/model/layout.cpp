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

ModelLayout model_layout(const TransformerConfig& config, const std::vector<ParameterInfo>& table) {
  const SlotFinder find(table);
  const int64_t d = config.hidden, m = config.mlp_hidden;
  const int64_t up_rows = config.mlp == MlpKind::kSwiGlu ? 2 * m : m;
  ModelLayout layout;
  for (const ParameterInfo& tensor : table) layout.parameters += tensor.elements;
  layout.gradients = layout.parameters;
  layout.embedding = find.matrix("embedding.weight", config.vocabulary, d);
  if (config.positions == PositionKind::kLearned) {
    layout.position = find.matrix("position.weight", config.max_sequence, d);
  }
  for (int64_t l = 0; l < config.layers; ++l) {
    const std::string name = concat("blocks.", l, ".");
    BlockSlots block;
    block.attention_norm = find.norm(name + "attention_norm", config);
    block.qkv = find.linear(name + "attention.qkv", 3 * d, d, config.bias);
    block.out = find.linear(name + "attention.out", d, d, config.bias);
    block.mlp_norm = find.norm(name + "mlp_norm", config);
    block.up = find.linear(name + "mlp.up", up_rows, d, config.bias);
    block.down = find.linear(name + "mlp.down", d, m, config.bias);
    layout.blocks.push_back(block);
  }
  layout.final_norm = find.norm("final_norm", config);
  if (config.tied) {
    layout.head = layout.embedding;
    layout.head_gradient = {layout.parameters, config.vocabulary, d};
    layout.gradients += config.vocabulary * d;
  } else {
    layout.head = layout.head_gradient = find.matrix("head.weight", config.vocabulary, d);
  }
  return layout;
}

}  // namespace strand
