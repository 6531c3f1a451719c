#include "worker/trainer.h"

#include <algorithm>
#include <utility>

#include "ops/cpu/cpu_info.h"
#include "ops/cpu/matrix_rate.h"
#include "ops/cpu/simd_info.h"
#include "shared/base/version.h"
#include "shared/job_spec/parameter_table.h"
#include "worker/trainer_impl.h"

namespace strand {
namespace {

// What this trainer cannot do is refused here, whoever let the job through.
Status check_supported(const JobSpec& spec) {
  const TransformerConfig& config = spec.model.config;
  const TrainSpec& train = spec.train;
  const bool finetune = spec.job.kind == "finetune";
  if (!finetune && spec.job.kind != "pretrain") {
    return bad_input(
        concat("job.kind: this version trains \"pretrain\" and \"finetune\" jobs, found \"", spec.job.kind, "\""));
  }
  if (finetune && task_outputs(spec.task) < 1) return bad_input("task.classes: the task does not say its outputs");
  if (spec.parallel.stages != 1 || spec.parallel.chunks != 1) {
    return bad_input("parallel.stages and parallel.chunks: only 1 is built so far");
  }
  if (config.heads < 1 || config.hidden < 1 || config.hidden % config.heads != 0) {
    return bad_input(concat("model.heads: ", config.heads, " does not divide model.hidden ", config.hidden));
  }
  if (config.positions == PositionKind::kRope && config.head_size() % 2 != 0) {
    return bad_input(concat("model.heads: rope needs an even head size, this one is ", config.head_size()));
  }
  if (config.positions == PositionKind::kLearned && spec.data.segment > config.max_sequence) {
    return bad_input(concat("data.segment: ", spec.data.segment, " tokens, but the model has learned positions for ",
                            config.max_sequence));
  }
  if (config.dropout < 0 || config.dropout >= 1) {
    return bad_input(concat("model.dropout: ", config.dropout, " is not in [0, 1)"));
  }
  if (train.lanes < 1 || (train.lanes & (train.lanes - 1)) != 0) {
    return bad_input(concat("train.lanes: ", train.lanes, " is not a power of two"));
  }
  if (train.micro_batch < 1 || train.micro_batches_per_lane < 1 || spec.data.segment < 2) {
    return bad_input("train.micro_batch and train.micro_batches_per_lane must be 1 or more, data.segment 2 or more");
  }
  return {};
}

}  // namespace

bool trains_in_bf16(Precision precision) {
  return precision == Precision::kBf16 || (precision == Precision::kAuto && cpu_has_bf16_matrix_unit());
}

Trainer::Impl::Impl(const JobSpec& job, std::vector<uint8_t> bases, const TrainerOptions& options, bool use_bf16)
    : spec(job),
      token_bases(std::move(bases)),
      bf16(use_bf16),
      pool(options.threads),
      workspace(options.threads),
      context{.pool = &pool, .workspace = &workspace, .backend = options.backend},
      shard(job_parameter_table(spec), spec.train, bf16),
      learner(spec, shard.table(), bf16 ? DType::kBF16 : DType::kF32),
      lanes(learner.gradient_elements(), spec.train.gradient_dtype) {}

Weights Trainer::Impl::weights() const {
  const KeyRange all{0, shard.elements()};
  return {shard.pull(all), shard.pull_bf16(all)};
}

Result<std::unique_ptr<Trainer>> Trainer::create(const JobSpec& spec, std::vector<uint8_t> token_bases,
                                                 const TrainerOptions& options) {
  STRAND_TRY(check_supported(spec));
  if (options.threads < 1) return bad_input(concat("threads: ", options.threads, " is less than 1"));
  if (token_bases.size() > static_cast<size_t>(spec.model.config.vocabulary)) {
    return bad_input(concat("model.vocabulary: ", spec.model.config.vocabulary, " ids, but the tokenizer has ",
                            token_bases.size(), "; set it to that or more"));
  }
  token_bases.resize(static_cast<size_t>(spec.model.config.vocabulary), 0);
  auto impl = std::make_unique<Impl>(spec, std::move(token_bases), options, trains_in_bf16(spec.train.precision));
  return std::unique_ptr<Trainer>(new Trainer(std::move(impl)));
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::~Trainer() = default;

void Trainer::initialise() {
  impl_->shard.init(impl_->context, impl_->spec.train.seed);
}
void Trainer::restored(Step step) {
  impl_->shard.restored(impl_->context, step);
}

Step Trainer::current_step() const {
  return impl_->shard.version();
}
uint64_t Trainer::next_row() const {
  return static_cast<uint64_t>(current_step()) * static_cast<uint64_t>(impl_->spec.train.rows_per_step());
}
ParamShard& Trainer::shard() {
  return impl_->shard;
}
Digest128 Trainer::digest() const {
  return impl_->shard.digest();
}
Digest128 Trainer::state_digest() const {
  return impl_->shard.state_digest(next_row());
}
bool Trainer::bf16() const {
  return impl_->bf16;
}

double Trainer::matrix_rate() {
  if (impl_->matrix_rate == 0) {
    impl_->matrix_rate = measure_matrix_rate(impl_->context, impl_->bf16 ? DType::kBF16 : DType::kF32);
  }
  return impl_->matrix_rate;
}

std::string numerics_fingerprint() {
  return concat("strand=", kStrandVersion, " compiler=gcc-", __VERSION__, " onednn=", onednn_version(),
                " isa=", onednn_isa(), " simd=", simd_target(), " backend=cpu");
}

}  // namespace strand
