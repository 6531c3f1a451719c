#include "shared/job_spec/parameter_table.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "shared/base/text.h"
#include "shared/job_spec/head_spec.h"

namespace strand {
namespace {

bool finetunes(const JobSpec& spec) {
  return spec.job.kind == "finetune";
}

int64_t elements_of(const std::vector<ParameterInfo>& table) {
  return table.back().first_element + table.back().elements;
}

class TableBuilder {
 public:
  explicit TableBuilder(const TransformerConfig& config) : c_(config) {}

  std::vector<ParameterInfo> build() {
    const auto d = static_cast<double>(c_.hidden), e = static_cast<double>(c_.embedding_size());
    const DecayGroup embedding = DecayGroup::kEmbedding;
    matrix("embedding.weight", c_.vocabulary, c_.embedding_size(), std_of(1 / std::sqrt(e)), embedding);
    if (c_.projected()) {
      matrix("embedding.project_in.weight", c_.hidden, c_.embedding_size(), std_of(1 / std::sqrt(e)),
             DecayGroup::kMatrix);
    }
    if (c_.token_types > 0) {
      matrix("token_type.weight", c_.token_types, c_.hidden, std_of(1 / std::sqrt(d)), embedding);
    }
    if (c_.positions == PositionKind::kLearned) {
      matrix("position.weight", c_.max_sequence + c_.position_offset, c_.hidden, std_of(1 / std::sqrt(d)), embedding);
    }
    if (c_.embedding_norm) norm("embedding_norm");
    for (int64_t layer = 0; layer < c_.layers; ++layer) block(layer);
    if (c_.final_norm) norm("final_norm");
    head();
    return std::move(table_);
  }

 private:
  // OLMo's init_fn: "normal" has one std for all, "mitchell" goes by fan-in and depth (omni-dna.md section 1.5).
  double std_of(double mitchell) const { return c_.init_kind == InitKind::kMitchell ? mitchell : c_.init_std; }
  // The family comes from OLMo v0.3.0, whose "normal" divides the MLP's output (and nothing else) by sqrt(2 layers).
  double down_std(double mitchell) const {
    return std_of(mitchell) / (c_.init_kind == InitKind::kNormal ? std::sqrt(2.0 * static_cast<double>(c_.layers)) : 1);
  }

  void block(int64_t layer) {
    const std::string prefix = concat("blocks.", layer, ".");
    const auto d = static_cast<double>(c_.hidden);
    const auto m = static_cast<double>(c_.mlp_hidden);
    const double depth = 2 * (static_cast<double>(layer) + 1);
    norm(prefix + "attention_norm");
    linear(prefix + "attention.qkv", 3 * c_.hidden, c_.hidden, std_of(1 / std::sqrt(d)), c_.bias);
    linear(prefix + "attention.out", c_.hidden, c_.hidden, std_of(1 / std::sqrt(d * depth)), c_.bias);
    norm(prefix + "mlp_norm");
    linear(prefix + "mlp.up", c_.mlp_up_rows(), c_.hidden, std_of(1 / std::sqrt(d)), c_.mlp_up_bias);
    linear(prefix + "mlp.down", c_.hidden, c_.mlp_hidden, down_std(1 / std::sqrt(m * depth)), c_.mlp_down_bias);
  }

  void head() {
    const auto d = static_cast<double>(c_.hidden), e = static_cast<double>(c_.embedding_size());
    if (c_.projected()) {
      matrix("head.project_out.weight", c_.embedding_size(), c_.hidden, std_of(1 / std::sqrt(d)), DecayGroup::kMatrix);
    }
    if (c_.head == HeadKind::kMaskedLm) {
      linear("head.transform", c_.hidden, c_.hidden, std_of(1 / std::sqrt(d)), /*bias=*/true);
      norm("head.transform_norm");
    }
    if (!c_.tied) {
      matrix("head.weight", c_.vocabulary, c_.embedding_size(), std_of(1 / std::sqrt(e)), DecayGroup::kEmbedding);
    }
    if (c_.head_bias) vector("head.bias", c_.vocabulary, InitRule::kZeros);
  }

  void add(ParameterInfo info) {
    info.elements = 1;
    for (const int64_t extent : info.shape) info.elements *= extent;
    info.first_element = table_.empty() ? 0 : table_.back().first_element + table_.back().elements;
    table_.push_back(std::move(info));
  }

  void matrix(const std::string& name, int64_t rows, int64_t cols, double std, DecayGroup decay) {
    add({name, {rows, cols}, InitRule::kTruncatedNormal, std, decay, 0, 0});
  }

  void vector(const std::string& name, int64_t size, InitRule init) {
    add({name, {size}, init, 0, DecayGroup::kNormOrBias, 0, 0});
  }

  void linear(const std::string& name, int64_t out, int64_t in, double std, bool bias) {
    matrix(name + ".weight", out, in, std, DecayGroup::kMatrix);
    if (bias) vector(name + ".bias", out, InitRule::kZeros);
  }

  void norm(const std::string& name) {
    if (c_.norm == NormKind::kLayerNoAffine) return;
    vector(name + ".weight", c_.hidden, InitRule::kOnes);
    if (c_.norm == NormKind::kLayer) vector(name + ".bias", c_.hidden, InitRule::kZeros);
  }

  const TransformerConfig& c_;
  std::vector<ParameterInfo> table_;
};

}  // namespace

std::vector<ParameterInfo> parameter_table(const TransformerConfig& config) {
  return TableBuilder(config).build();
}

// Far from overflowing: within the limits of job files and of config.json (families/config_reader.h) the largest model,
// 1024 blocks of width 65536, has less than 2^52 parameters.
int64_t parameter_count(const TransformerConfig& config) {
  return elements_of(parameter_table(config));
}

std::vector<ParameterInfo> job_parameter_table(const JobSpec& spec) {
  std::vector<ParameterInfo> table = parameter_table(spec.model.config);
  if (!finetunes(spec)) return table;
  std::erase_if(table, [](const ParameterInfo& p) {
    return p.name.starts_with("head.") && !p.name.starts_with("head.project_out");
  });
  const HeadSpec head = head_of(spec.task, spec.model.config.causal);
  for (ParameterInfo& parameter : head_parameters(head, spec.model.config.embedding_size())) {
    table.push_back(std::move(parameter));
  }
  int64_t first = 0;
  for (ParameterInfo& parameter : table) {
    parameter.first_element = first;
    first += parameter.elements;
  }
  return table;
}

int64_t job_parameter_count(const JobSpec& spec) {
  return elements_of(job_parameter_table(spec));
}

// `output`: elements of the output matrix, tied or not.
static FlopsParts flops_parts(const std::vector<ParameterInfo>& table, int64_t output, const TransformerConfig& config,
                              int64_t sequence) {
  FlopsParts parts;
  parts.output = 6 * static_cast<double>(output);
  for (const auto& parameter : table) {
    const bool once_a_row = parameter.name.starts_with("task.");
    if (parameter.decay != DecayGroup::kMatrix || once_a_row) continue;
    const double flops = 6 * static_cast<double>(parameter.elements);
    if (parameter.name.starts_with("head.")) {
      parts.output += flops;
    } else if (parameter.name.starts_with("blocks.0.")) {
      parts.block += flops;
    } else if (!parameter.name.starts_with("blocks.")) {
      parts.input += flops;
    }
  }
  parts.block += (config.causal ? 6.0 : 12.0) * static_cast<double>(config.hidden * sequence);
  return parts;
}

static double whole(const FlopsParts& parts, const TransformerConfig& config) {
  return parts.input + static_cast<double>(config.layers) * parts.block + parts.output;
}

double flops_per_token(const TransformerConfig& config, int64_t sequence) {
  const int64_t output = config.vocabulary * config.embedding_size();
  return whole(flops_parts(parameter_table(config), output, config, sequence), config);
}

FlopsParts job_flops_parts(const JobSpec& spec) {
  const TransformerConfig& config = spec.model.config;
  const int64_t output = finetunes(spec) ? 0 : config.vocabulary * config.embedding_size();
  return flops_parts(job_parameter_table(spec), output, config, spec.data.segment);
}

double job_flops_per_token(const JobSpec& spec) {
  return whole(job_flops_parts(spec), spec.model.config);
}

uint64_t memory_bytes(const JobSpec& spec) {
  const TransformerConfig& c = spec.model.config;
  const auto parameters = static_cast<double>(job_parameter_count(spec));
  const bool tokens_out = !finetunes(spec);
  const bool bf16 = spec.train.precision == Precision::kBf16;
  double gradient_buffers = 2;  // the lane at work, and one sum for each level of the lane tree
  for (int64_t lanes = spec.train.lanes; lanes > 1; lanes /= 2) ++gradient_buffers;
  if (spec.train.lanes == 1) gradient_buffers = 1;
  // A tied matrix has a gradient for each of its two uses.
  const bool twice = c.tied && tokens_out;
  const double gradients = parameters + (twice ? static_cast<double>(c.vocabulary * c.embedding_size()) : 0);
  const double best = tokens_out ? 0 : 4 * parameters;
  const double state = parameters * (12 + 12 + (bf16 ? 2 : 0)) + best + 4 * gradients * gradient_buffers;
  const double tokens = static_cast<double>(spec.train.micro_batch) * static_cast<double>(spec.data.segment);
  const auto d = static_cast<double>(c.hidden), m = static_cast<double>(c.mlp_hidden);
  const double element = bf16 ? 2 : 4;
  const double sums = c.norm_placement == NormPlacement::kPost ? 2 * 4 * d : 0;
  const double per_block = 2 * 4 * d + sums + element * (6 * d + (c.gated_mlp() ? 3 : 2) * m);
  const bool extra_input =
      c.embedding_norm || c.projected() || c.token_types > 0 || c.positions == PositionKind::kLearned;
  const bool masked_head = c.head == HeadKind::kMaskedLm && tokens_out;
  const double around = 4 * 4 * d + (extra_input ? 2 * 4 * d : 0) + (masked_head ? 5 * 4 * d : 0);
  const auto layers = static_cast<double>(c.layers);
  const double blocks = spec.parallel.recompute ? layers * 4 * d + per_block : layers * per_block;
  const double activations = tokens * (blocks + around);
  return static_cast<uint64_t>(std::min(state + activations, 0x1p62));
}

}  // namespace strand
