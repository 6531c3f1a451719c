#include "tests/sim/cluster_job.h"

#include <cstring>
#include <map>

#include "shared/base/check.h"
#include "shared/base/hash.h"
#include "shared/base/row_audit.h"
#include "shared/plan/stage_cut.h"
#include "shared/plan/stage_ranges.h"

namespace strand::sim {
namespace {

JobSpec spec_of(const JobShape& shape) {
  JobSpec spec;
  spec.job.name = "sim";
  spec.job.retries = 5;
  spec.data.files = {"/genome.fna"};
  spec.data.holdout.fraction = 0.05;
  spec.data.segment = 8;
  TransformerConfig& model = spec.model.config;
  model.layers = 3;
  model.hidden = 8;
  model.heads = 1;
  model.mlp_hidden = 8;
  model.vocabulary = 16;
  model.max_sequence = 8;
  model.tied = shape.tied;
  spec.train.steps = shape.steps;
  spec.train.warmup = 1;
  spec.train.lanes = shape.lanes;
  spec.train.micro_batch = 2;
  spec.train.micro_batches_per_lane = 2;
  spec.train.precision = Precision::kFp32;
  spec.parallel.stages = shape.stages;
  spec.parallel.replicas = shape.replicas;
  spec.parallel.min_replicas = shape.min_replicas;
  spec.parallel.lane_shares = shape.lane_shares;
  spec.parallel.backup = shape.backup;
  spec.parallel.consistency = shape.staleness > 0 ? "ssp" : "bsp";
  spec.parallel.ssp = shape.staleness;
  spec.checkpoint.every = shape.checkpoint_every;
  spec.checkpoint.keep = shape.keep;
  spec.evaluate.every = 0;
  return spec;
}

}  // namespace

std::shared_ptr<const ClusterJob> cluster_job(const JobShape& shape) {
  static std::map<JobShape, std::shared_ptr<const ClusterJob>> made;
  auto& job = made[shape];
  if (job) return job;
  const std::string toml = effective_job_toml(spec_of(shape));
  ParsedJob parsed = parse_job(toml, "simulated job", "/", {});
  STRAND_CHECK(parsed.errors.empty(), parsed.errors.front().message);
  const std::vector<ParameterInfo> table = job_parameter_table(parsed.spec);
  auto cut = cut_model(parsed.spec);
  STRAND_CHECK(cut.ok());
  job = std::make_shared<ClusterJob>(
      ClusterJob{parsed.spec, toml, table, BlockTable(table), cut_ranges(table, tensor_places(*cut))});
  return job;
}

SerialJob serial_job_of(const ClusterJob& job) {
  SerialJob serial;
  serial.ranges = job.ranges;
  serial.lanes = job.spec.train.lanes;
  serial.micro_batches = job.spec.train.micro_batches_per_lane;
  serial.reads_weights = job.spec.parallel.ssp == 0;
  serial.rows_hash = [spec = job.spec](Step step, int64_t lane) { return lane_audit(spec, step, lane); };
  return serial;
}

// --- rows -----------------------------------------------------------------------------------------------------------

SimRow row_of(uint64_t number) {
  SimRow row;
  row.sample = symbol({20, number / kSegments, number % kSegments}) % kSegments;
  const uint64_t bits = symbol({21, number});
  for (uint64_t token = 0; token < 4 + bits % 4; ++token) {
    row.tokens.push_back(static_cast<uint16_t>(bits >> (8 * token) & 15));
  }
  return row;
}

uint64_t first_row(const JobSpec& spec, Step step, int64_t lane, int64_t micro) {
  const TrainSpec& train = spec.train;
  const int64_t micro_batches = ((step - 1) * train.lanes + lane) * train.micro_batches_per_lane + micro;
  return static_cast<uint64_t>(micro_batches * train.micro_batch);
}

uint64_t lane_audit(const JobSpec& spec, Step step, int64_t lane) {
  RowAudit audit;
  const uint64_t first = first_row(spec, step, lane, 0), end = first_row(spec, step, lane + 1, 0);
  for (uint64_t number = first; number < end; ++number) {
    const SimRow row = row_of(number);
    audit.add(number, row.sample, row.tokens.data(), row.tokens.size());
  }
  return audit.sum();
}

// --- tensors --------------------------------------------------------------------------------------------------------

void append_range(const ClusterJob& job, uint32_t range, uint64_t state, std::vector<float>* numbers) {
  const auto run = job.blocks.blocks_of(job.ranges[range].keys);
  STRAND_CHECK(run.ok());
  for (size_t b = run->first; b < run->end; ++b) {
    const uint64_t mark = b == run->first ? state : symbol({22, state, b - run->first});
    const size_t at = numbers->size();
    numbers->resize(at + 3 * static_cast<size_t>(job.blocks[b].elements));
    std::memcpy(numbers->data() + at, &mark, sizeof mark);
  }
}

uint64_t state_in(const float* weights) {
  uint64_t state = 0;
  std::memcpy(&state, weights, sizeof state);
  return state;
}

ModelDigests digests_at(const ClusterJob& job, SerialRun* serial, Step version) {
  std::vector<Digest128> digests;
  for (uint32_t range = 0; range < job.ranges.size(); ++range) {
    std::vector<float> numbers;
    append_range(job, range, serial->state(range, version), &numbers);
    const auto run = job.blocks.blocks_of(job.ranges[range].keys);
    const float* data = numbers.data();
    for (size_t b = run->first; b < run->end; ++b) {
      for (int array = 0; array < 3; ++array) {
        digests.push_back(hash128(data, static_cast<size_t>(job.blocks[b].elements) * sizeof(float)));
        data += job.blocks[b].elements;
      }
    }
  }
  const auto next_row = static_cast<uint64_t>(version * job.spec.train.rows_per_step());
  return digests_of_state(job.table, digests, version, next_row);
}

}  // namespace strand::sim
