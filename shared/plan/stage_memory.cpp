#include "shared/plan/stage_memory.h"

#include <algorithm>

#include "shared/job_spec/parameter_table.h"
#include "shared/plan/stage_cut.h"

namespace strand {

double micro_batches_in_memory(const ParallelSpec& parallel, int64_t stage, int64_t micro_batches) {
  const auto p = static_cast<double>(parallel.stages), m = static_cast<double>(micro_batches);
  const auto s = static_cast<double>(stage), v = static_cast<double>(parallel.chunks);
  if (parallel.schedule == "gpipe") return m;
  if (parallel.schedule == "zb-h1") return std::min(m, p);
  if (parallel.schedule == "interleaved") return std::min(m, (2 * (p - s - 1) + 1) / v + p * (v - 1) / v);
  return std::min(m, p - s);
}

uint64_t worker_memory_bytes(const JobSpec& spec) {
  const auto whole = static_cast<double>(memory_bytes(spec));
  const auto cut = cut_model(spec);
  if (!cut.ok()) return static_cast<uint64_t>(whole / static_cast<double>(spec.parallel.stages));
  JobSpec idle = spec;
  idle.train.micro_batch = 0;
  const auto state = static_cast<double>(memory_bytes(idle));
  const ParallelSpec& parallel = spec.parallel;
  const int64_t replicas = std::clamp<int64_t>(parallel.min_replicas, 1, std::max<int64_t>(parallel.replicas, 1));
  const int64_t lanes = (spec.train.lanes + replicas - 1) / replicas;
  int64_t all = 0;
  for (const Stage& stage : cut->stages) all += stage.gradient_elements;
  double largest = 0;
  for (size_t s = 0; s < cut->stages.size(); ++s) {
    const Stage& stage = cut->stages[s];
    int64_t blocks = 0;
    for (const ModelRun& run : stage.chunks) blocks += run.blocks;
    const double share = static_cast<double>(stage.gradient_elements) / static_cast<double>(all);
    const double of_blocks = static_cast<double>(blocks) / static_cast<double>(spec.model.config.layers);
    const double kept =
        micro_batches_in_memory(parallel, static_cast<int64_t>(s), lanes * spec.train.micro_batches_per_lane);
    // One process of one stage runs each micro batch to its end before the next one.
    const bool alone = cut->stages.size() == 1 && replicas == 1;
    largest = std::max(largest, state * share + (whole - state) * of_blocks * (alone ? 1 : kept));
  }
  return static_cast<uint64_t>(std::min(largest, 0x1p62));
}

}  // namespace strand
