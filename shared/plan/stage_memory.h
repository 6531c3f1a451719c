// How much memory a worker of a group needs. A pure function of the job.
#pragma once

#include <cstdint>

#include "shared/job_spec/job_spec.h"

namespace strand {

// Micro batches that stage `stage` of `stages` holds at once in a step of `micro_batches` of a replica: from their
// forward to the end of their last gradient, in units of the whole stage (docs/pipeline.md, "What they cost").
double micro_batches_in_memory(const ParallelSpec& parallel, int64_t stage, int64_t micro_batches);

// Bytes that the largest stage needs, an estimate from above without the kernels' scratch: of memory_bytes' state the
// share of what the stage holds (the embedding and the head count where they are), of its activations the share of the
// stage's blocks, times the micro batches that its schedule keeps. The least number of replicas counts, for they have
// the most lanes. With one stage and one replica it is memory_bytes.
uint64_t worker_memory_bytes(const JobSpec& spec);

}  // namespace strand
