#include "worker/member/stage_state.h"

#include "shared/base/check.h"

namespace strand {

Result<std::unique_ptr<StageState>> StageState::create(const JobSpec& spec, int stage, bool bf16) {
  auto state = std::make_unique<StageState>();
  state->stage = stage;
  state->table = job_parameter_table(spec);
  STRAND_ASSIGN(state->cut, cut_model(spec));
  STRAND_CHECK(stage >= 0 && static_cast<size_t>(stage) < state->cut.stages.size(), "stage ", stage);
  state->ranges = cut_ranges(state->table, tensor_places(state->cut));
  for (const PlannedRange& range : state->ranges) state->keys.push_back(local_range(state->own(), range.keys));
  state->shard =
      std::make_unique<ParamShard>(local_table(state->own()), spec.train, bf16, /*held=*/std::vector<KeyRange>());
  return state;
}

int64_t StageState::output_gradient_first(const PlannedRange& range) const {
  STRAND_CHECK(cut.tied && range.place.second_use == stage, "a range without a second use here");
  const ParameterInfo& tensor = table[static_cast<size_t>(cut.tied->table_index)];
  return cut.tied->output_gradient_first + range.keys.first_element - tensor.first_element;
}

}  // namespace strand
