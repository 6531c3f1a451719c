#include "shared/job_spec/head_spec.h"

#include <string>

#include "shared/base/check.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {
namespace {

Pooling resolved(PoolingChoice choice, bool causal) {
  switch (choice) {
    case PoolingChoice::kAuto: return causal ? Pooling::kLast : Pooling::kCls;
    case PoolingChoice::kCls: return Pooling::kCls;
    case PoolingChoice::kMean: return Pooling::kMean;
    case PoolingChoice::kMax: return Pooling::kMax;
    case PoolingChoice::kLast: break;
  }
  return Pooling::kLast;
}

}  // namespace

HeadSpec head_of(const TaskSpec& task, bool causal) {
  STRAND_CHECK(task_outputs(task) > 0, "task ", task.name, " does not say its outputs");
  return {.task = task.kind,
          .pooling = resolved(task.pooling, causal),
          .outputs = task_outputs(task),
          .mlp_hidden = task.head,
          .activation = task.head_activation,
          .bias = task.head_bias,
          .dropout = task.head_dropout};
}

std::vector<ParameterInfo> head_parameters(const HeadSpec& spec, int64_t hidden) {
  std::vector<ParameterInfo> table;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, InitRule init, double std,
                       DecayGroup decay) {
    int64_t elements = 1;
    for (const int64_t extent : shape) elements *= extent;
    const int64_t first = table.empty() ? 0 : table.back().first_element + table.back().elements;
    table.push_back({name, std::move(shape), init, std, decay, first, elements});
  };
  int64_t in = hidden;
  std::vector<int64_t> widths = spec.mlp_hidden;
  widths.push_back(spec.outputs);
  for (size_t i = 0; i < widths.size(); ++i) {
    const int64_t out = widths[i];
    STRAND_CHECK(in > 0 && out > 0, "layer ", i, " of the head: ", out, " x ", in);
    const std::string name = concat("task.head.", i);
    add(name + ".weight", {out, in}, InitRule::kTruncatedNormal, spec.init_std, DecayGroup::kMatrix);
    if (spec.bias) add(name + ".bias", {out}, InitRule::kZeros, 0, DecayGroup::kNormOrBias);
    in = out;
  }
  return table;
}

}  // namespace strand
