#include "shared/job_spec/validate.h"

#include <algorithm>
#include <set>
#include <utility>

#include "shared/job_spec/checks.h"

namespace strand {
namespace {

void validate_model(const JobSpec& spec, const Report& report) {
  const TransformerConfig& c = spec.model.config;
  at_least(report, "model.layers", c.layers, 1);
  at_least(report, "model.hidden", c.hidden, 1);
  at_least(report, "model.heads", c.heads, 1);
  at_least(report, "model.mlp_hidden", c.mlp_hidden, 1);
  at_least(report, "model.vocabulary", c.vocabulary, 2);
  at_least(report, "model.max_sequence", c.max_sequence, 2);
  if (c.vocabulary > 65536) report("model.vocabulary", "must be at most 65536: tokens travel as 16 bits");
  at_most(report, "model.layers", c.layers, 1024);
  at_most(report, "model.hidden", c.hidden, 1 << 16);
  at_most(report, "model.heads", c.heads, 1 << 16);
  at_most(report, "model.mlp_hidden", c.mlp_hidden, 1 << 18);
  at_most(report, "model.max_sequence", c.max_sequence, 1 << 20);
  at_least(report, "model.embedding_width", c.embedding_width, 0);
  at_most(report, "model.embedding_width", c.embedding_width, 1 << 16);
  at_least(report, "model.token_types", c.token_types, 0);
  at_most(report, "model.token_types", c.token_types, 1 << 16);
  at_least(report, "model.position_offset", c.position_offset, 0);
  at_most(report, "model.position_offset", c.position_offset, 1 << 16);
  if (c.position_offset != 0 && c.positions != PositionKind::kLearned) {
    report("model.position_offset",
           "shifts the rows of learned positions only; leave it out, or positions = \"learned\"");
  }
  if (c.token_dropout && (c.mask_id < 0 || c.mask_id >= c.vocabulary)) {
    report("model.mask_id", concat("is no id of the model: found ", c.mask_id, ", the vocabulary has ", c.vocabulary));
  }
  if (c.heads > 0 && c.hidden > 0 && c.hidden % c.heads != 0) {
    report("model.heads", concat("must divide hidden: ", c.heads, " heads do not divide ", c.hidden,
                                 "; choose heads so that hidden / heads is whole"));
  } else if (c.heads > 0 && c.positions == PositionKind::kRope && c.head_size() % 2 != 0) {
    report("model.heads", concat("rotary positions need an even head size, found ", c.hidden, " / ", c.heads, " = ",
                                 c.head_size(), "; change heads, or positions = \"learned\""));
  }
  if (!(c.norm_eps > 0)) report("model.norm_eps", "must be above 0");
  if (!(c.rope_theta > 0)) report("model.rope_theta", "must be above 0");
  if (!(c.init_std > 0)) report("model.init_std", "must be above 0");
  within(report, "model.dropout", c.dropout, 0, 1);
  within(report, "model.embedding_dropout", c.embedding_dropout, 0, 1);
  if (spec.model.init.empty()) report("model.init", "expected \"random\" or a directory of weights");
}

void validate_train(const JobSpec& spec, const Report& report) {
  const TrainSpec& t = spec.train;
  at_least(report, "train.steps", t.steps, 1);
  at_least(report, "train.lanes", t.lanes, 1);
  at_least(report, "train.micro_batch", t.micro_batch, 1);
  at_least(report, "train.micro_batches_per_lane", t.micro_batches_per_lane, 1);
  if (t.lanes > 0 && (t.lanes & (t.lanes - 1)) != 0) {
    report("train.lanes", concat("must be a power of two (lanes are the leaves of a binary tree), found ", t.lanes));
  }
  at_most(report, "train.steps", t.steps, int64_t{1} << 40);
  at_most(report, "train.lanes", t.lanes, 1 << 16);
  at_most(report, "train.micro_batch", t.micro_batch, 1 << 16);
  at_most(report, "train.micro_batches_per_lane", t.micro_batches_per_lane, 1 << 16);
  at_least(report, "train.warmup", t.warmup, 0);
  if (t.warmup > t.steps) {
    report("train.warmup", concat("is longer than the training: ", t.warmup, " of ", t.steps,
                                  " steps; set warmup to at most ", t.steps));
  }
  if (!(t.learning_rate > 0)) report("train.learning_rate", concat("must be above 0, found ", t.learning_rate));
  if (t.final_fraction < 0 || t.final_fraction > 1) report("train.final_fraction", "must be in [0, 1]");
  if (t.weight_decay < 0) report("train.weight_decay", "must not be negative");
  within(report, "train.beta1", t.beta1, 0, 1);
  within(report, "train.beta2", t.beta2, 0, 1);
  if (!(t.epsilon > 0)) report("train.epsilon", "must be above 0");
  if (t.clip < 0) report("train.clip", "must not be negative; 0 turns clipping off");
}

// Replicas, lanes and stages: what must hold whatever workers there are.
void validate_shape(const JobSpec& spec, const Report& report) {
  const ParallelSpec& p = spec.parallel;
  const int64_t lanes = spec.train.lanes;
  for (const auto& [key, value] : {std::pair{"parallel.replicas", p.replicas},
                                   {"parallel.min_replicas", p.min_replicas},
                                   {"parallel.stages", p.stages},
                                   {"parallel.chunks", p.chunks}}) {
    at_least(report, key, value, 1);
    at_most(report, key, value, 1 << 16);
  }
  if (lanes >= 1 && p.replicas > lanes) {
    report("parallel.replicas",
           concat("must be at most train.lanes: ", p.replicas, " replicas over ", lanes, " lanes"));
  }
  if (p.min_replicas > p.replicas) {
    report("parallel.min_replicas", concat("is above replicas: ", p.min_replicas, " of ", p.replicas));
  }
  const int64_t layers = spec.model.config.layers;
  if (p.stages >= 1 && p.chunks >= 1 && layers >= 1 && (p.stages > layers || p.chunks > layers / p.stages)) {
    report(p.stages > layers ? "parallel.stages" : "parallel.chunks",
           concat("the model has ", layers, " blocks, fewer than stages x chunks = ", p.stages, " x ", p.chunks,
                  "; a chunk is a run of whole blocks"));
  }
  if (spec.job.kind == "finetune" && (p.replicas > 1 || p.stages > 1 || p.chunks > 1)) {
    report(p.replicas > 1 ? "parallel.replicas"
           : p.stages > 1 ? "parallel.stages"
                          : "parallel.chunks",
           "this version finetunes on one worker; set it to 1");
  }
  if (p.lane_shares.empty()) return;
  const auto [least, most] = std::ranges::minmax(p.lane_shares);
  if (static_cast<int64_t>(p.lane_shares.size()) != p.replicas) {
    report("parallel.lane_shares",
           concat("must name a share for each of the ", p.replicas, " replicas, found ", p.lane_shares.size()));
  }
  at_least(report, "parallel.lane_shares", least, 1);
  at_most(report, "parallel.lane_shares", most, 1 << 20);
}

// The rules of worker/pipeline/schedule.h, for every number of replicas that the job may go on with.
void validate_schedule(const JobSpec& spec, const Report& report) {
  const ParallelSpec& p = spec.parallel;
  if (p.schedule != "gpipe" && p.schedule != "1f1b" && p.schedule != "interleaved" && p.schedule != "zb-h1") {
    report("parallel.schedule",
           concat("expected one of gpipe | 1f1b | interleaved | zb-h1, found \"", p.schedule, "\""));
  } else if (p.schedule != "interleaved" && p.chunks > 1) {
    report("parallel.chunks", concat("\"", p.schedule, "\" has one chunk a stage, found ", p.chunks,
                                     "; set parallel.schedule = \"interleaved\", or chunks = 1"));
  } else if (p.schedule == "interleaved" && p.chunks == 1) {
    report("parallel.chunks", "\"interleaved\" needs at least 2 chunks a stage; with one, \"1f1b\" does the same");
  }
  const int64_t each = spec.train.micro_batches_per_lane;
  const bool possible = each >= 1 && spec.train.lanes >= 1 && p.min_replicas >= 1 && p.stages >= 1;
  if (p.schedule != "interleaved" || !possible || p.stages > 1 << 16 || each % p.stages == 0) return;
  for (int64_t r = p.min_replicas; r <= std::min(p.replicas, spec.train.lanes); ++r) {
    const int64_t fewest = spec.train.lanes / r, most = (spec.train.lanes + r - 1) / r;
    const auto fits = [&](int64_t lanes) { return lanes % p.stages * (each % p.stages) % p.stages == 0; };
    if (fits(fewest) && fits(most) && (r == 1 || p.lane_shares.empty())) continue;
    return report("train.micro_batches_per_lane",
                  concat("\"interleaved\" needs the micro batches of a replica in a multiple of the ", p.stages,
                         " stages, also of ", r, r == 1 ? " replica" : " replicas", " over ", spec.train.lanes,
                         " lanes of ", each, "; make it a multiple of ", p.stages));
  }
}

void validate_rest(const JobSpec& spec, const Report& report) {
  if (spec.job.name.empty()) {
    report("job.name", "give the job a name: it names the run directory");
  } else if (spec.job.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
                 std::string::npos ||
             spec.job.name[0] == '.') {
    report("job.name",
           "may hold letters, digits, '-', '_' and '.', and not begin with '.': it names the run directory");
  }
  if (spec.job.kind != "pretrain" && spec.job.kind != "finetune") {
    report("job.kind", concat("expected \"pretrain\" or \"finetune\", found \"", spec.job.kind, "\""));
  }
  at_least(report, "job.retries", spec.job.retries, 0);
  at_most(report, "job.retries", spec.job.retries, 1'000'000);
  at_least(report, "job.priority", spec.job.priority, -1'000'000);
  at_most(report, "job.priority", spec.job.priority, 1'000'000);
  const ParallelSpec& p = spec.parallel;
  validate_shape(spec, report);
  validate_schedule(spec, report);
  if (p.consistency != "bsp" && p.consistency != "ssp") {
    report("parallel.consistency", concat("expected \"bsp\" or \"ssp\", found \"", p.consistency, "\""));
  }
  at_least(report, "parallel.ssp", p.ssp, 0);
  at_most(report, "parallel.ssp", p.ssp, 1024);
  if (p.ssp > 0 && p.consistency == "bsp") {
    report("parallel.ssp",
           concat("\"bsp\" waits for every step; set parallel.consistency = \"ssp\" or ssp = 0, found ", p.ssp));
  }
  if (p.device != "auto" && p.device != "cpu") {
    report("parallel.device", concat("this version computes on \"cpu\" (or \"auto\"), found \"", p.device, "\""));
  }
  if (p.threads < 0 || p.threads > 1024) report("parallel.threads", "must be from 0 (all cores) to 1024");
  at_least(report, "checkpoint.every", spec.checkpoint.every, 0);
  at_least(report, "checkpoint.keep", spec.checkpoint.keep, 1);
  at_least(report, "evaluate.every", spec.evaluate.every, 0);
  at_least(report, "evaluate.batches", spec.evaluate.batches, 1);
}

}  // namespace

void validate_job(const JobSpec& spec, const Report& report) {
  validate_rest(spec, report);
  validate_model(spec, report);
  validate_data(spec, report);
  validate_train(spec, report);
  validate_objective(spec, report);
  validate_task(spec, report);
}

}  // namespace strand
