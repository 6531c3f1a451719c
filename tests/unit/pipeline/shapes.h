// Every schedule that is legal within small numbers.
#pragma once

#include <functional>
#include <string>

#include "shared/base/text.h"
#include "worker/pipeline/schedule.h"

namespace strand {

inline std::string name_of(PipelineKind kind, const PipelineShape& shape) {
  return concat(pipeline_kind_name(kind), ", ", shape.stages, " stages, ", shape.chunks, " chunks, ",
                shape.micro_batches, " micro batches");
}

// Stages 1 to `stages`, chunks 1 to 4, micro batches 1 to `micro_batches`: those that the schedule allows.
inline void for_each_schedule(int stages, int micro_batches,
                              const std::function<void(PipelineKind, const PipelineSchedule&)>& use) {
  for (const PipelineKind kind : kPipelineKinds) {
    for (int p = 1; p <= stages; ++p) {
      for (int v = 1; v <= 4; ++v) {
        for (int m = 1; m <= micro_batches; ++m) {
          const bool interleaved = kind == PipelineKind::kInterleaved;
          if ((v > 1) != interleaved || (interleaved && m % p != 0)) continue;
          const auto schedule = make_schedule(kind, {p, v, m});
          if (schedule.ok()) use(kind, *schedule);
        }
      }
    }
  }
}

// How many schedules that is: so that a test which saw none fails.
inline int count_schedules(int stages, int micro_batches) {
  int count = 3 * stages * micro_batches;
  for (int p = 1; p <= stages; ++p) count += 3 * (micro_batches / p);
  return count;
}

}  // namespace strand
