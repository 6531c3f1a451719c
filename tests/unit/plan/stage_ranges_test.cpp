#include "shared/plan/stage_ranges.h"

#include <gtest/gtest.h>

namespace strand {
namespace {

JobSpec job(int64_t stages, int64_t chunks, bool tied) {
  JobSpec spec;
  spec.model.config.layers = 8;
  spec.model.config.hidden = 64;
  spec.model.config.mlp_hidden = 160;
  spec.model.config.vocabulary = 3000;
  spec.model.config.tied = tied;
  spec.parallel.stages = stages;
  spec.parallel.chunks = chunks;
  return spec;
}

TEST(StageRanges, EveryRangeLiesWholeInTheStageThatOwnsItAndInNoOther) {
  for (const auto& [stages, chunks] : {std::pair<int64_t, int64_t>{1, 1}, {2, 1}, {2, 2}, {4, 2}}) {
    for (const bool tied : {false, true}) {
      const JobSpec spec = job(stages, chunks, tied);
      const auto cut = cut_model(spec);
      ASSERT_TRUE(cut.ok()) << cut.error().message();
      const std::vector<ParameterInfo> table = job_parameter_table(spec);
      const std::vector<TensorPlace> places = tensor_places(*cut);
      ASSERT_EQ(places.size(), table.size());
      std::vector<int64_t> owned(static_cast<size_t>(stages));
      int64_t twice = 0;
      for (const PlannedRange& range : cut_ranges(table, places)) {
        for (int s = 0; s < static_cast<int>(stages); ++s) {
          const Stage& stage = cut->stages[static_cast<size_t>(s)];
          const KeyRange local = local_range(stage, range.keys);
          const bool reads = s == range.place.stage || s == range.place.second_use;
          EXPECT_EQ(local.elements, reads ? range.keys.elements : 0);
          if (s != range.place.stage) continue;
          owned[static_cast<size_t>(s)] += local.elements;
          EXPECT_LE(local.first_element + local.elements, stage.owned_elements);
        }
        if (range.place.second_use >= 0) twice += range.keys.elements;
      }
      for (size_t s = 0; s < owned.size(); ++s) EXPECT_EQ(owned[s], cut->stages[s].owned_elements) << "stage " << s;
      EXPECT_EQ(twice, tied ? 3000 * 64 : 0);
    }
  }
}

}  // namespace
}  // namespace strand
