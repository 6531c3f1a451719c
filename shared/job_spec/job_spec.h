// The job file as a checked value. Defaults stand here and nowhere else; docs/job_file.md explains every key.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/task_spec.h"

namespace strand {

enum class NormKind { kLayer, kLayerNoAffine, kRms };
enum class NormPlacement {
  kPre,  // x + branch(norm(x))
  kPost  // norm(x + branch(x))
};
enum class PositionKind { kRope, kLearned, kNone, kAlibi };
enum class MlpKind { kSwiGlu, kGelu, kRelu, kGeGlu };  // GELU by the error function in both
// Truncated at 3 sigma. kNormal: OLMo v0.3.0's, which scales the MLP's output down with depth; kMitchell: by fan-in and
// depth (omni-dna.md section 1.5). kPlain: init_std for every matrix.
enum class InitKind { kNormal, kMitchell, kPlain };
enum class HeadKind {
  kLanguageModel,  // logits = E h
  kMaskedLm        // logits = E norm(GELU(W h + b))
};

struct TransformerConfig {
  int64_t layers = 8;
  int64_t hidden = 256;
  int64_t heads = 8;          // head size = hidden / heads
  int64_t mlp_hidden = 1024;  // inner width (SwiGLU, GeGLU: of each half)
  int64_t vocabulary = 4096;
  int64_t embedding_width = 0;  // 0: hidden. Else projected to hidden and, before the output matrix, back
  int64_t max_sequence = 250;
  NormKind norm = NormKind::kRms;
  float norm_eps = 1e-5f;
  NormPlacement norm_placement = NormPlacement::kPre;
  bool embedding_norm = false;  // a norm right after the embeddings
  bool final_norm = true;       // a norm after the last block
  PositionKind positions = PositionKind::kRope;
  int64_t position_offset = 0;  // learned positions: token i of a row uses row i + offset of the table
  float rope_theta = 10000.0f;
  int64_t token_types = 0;  // rows of a table whose row 0 is added to every token
  MlpKind mlp = MlpKind::kSwiGlu;
  bool causal = true;
  bool attention = true;       // false: blocks have their MLP only, an ablation
  bool bias = false;           // of the attention's linear layers
  bool mlp_up_bias = false;    // the job key model.bias alone sets this one
  bool mlp_down_bias = false;  // and this one too
  bool tied = true;            // output matrix = token embedding
  HeadKind head = HeadKind::kLanguageModel;
  bool head_bias = false;  // of the logits
  float embedding_scale = 1.0f;
  // Embeddings of mask_id are zeroed and those of the row scaled by 0.88 / (1 - share of mask_id among its real
  // tokens), in training and evaluation alike (ESM, Rives et al., 2021).
  bool token_dropout = false;
  int64_t mask_id = 0;           // read with token_dropout only
  double dropout = 0;            // of the residual branches
  bool dropout_in_mlp = false;   // the MLP's dropout acts on its inner activations, not on its output
  double embedding_dropout = 0;  // of the sum of all embeddings (after embedding_norm)
  InitKind init_kind = InitKind::kNormal;
  double init_std = 0.02;

  int64_t head_size() const { return hidden / heads; }
  int64_t embedding_size() const { return embedding_width == 0 ? hidden : embedding_width; }  // e
  bool projected() const { return embedding_size() != hidden; }
  bool gated_mlp() const { return mlp == MlpKind::kSwiGlu || mlp == MlpKind::kGeGlu; }
  int64_t mlp_up_rows() const { return gated_mlp() ? 2 * mlp_hidden : mlp_hidden; }
  bool operator==(const TransformerConfig&) const = default;
};

struct ModelSpec {
  std::string preset = "omni-dna-20m";
  std::string init = "random";  // or a directory of weights, made absolute by parse (docs/weights_format.md)
  TransformerConfig config;     // the preset with the file's overrides applied
  bool operator==(const ModelSpec&) const = default;
};

enum class TokenizerKind { kNucleotide, kKmer, kBpe, kFile };
struct TokenizerSpec {
  TokenizerKind kind = TokenizerKind::kNucleotide;
  int64_t vocabulary = 4096;  // BPE only: how many ids to train
  int64_t k = 6;              // k-mer only
  bool overlapping = false;   // k-mer only: a token for every letter but the last k - 1, DNABERT's
  bool bos_eos = false;       // nucleotide only: [CLS] [BOS] x [EOS] [SEP] around a row
  int64_t max_length = 32;    // BPE only: letters of the longest token that is trained
  std::string file;           // kFile: what open_tokenizer takes
  bool operator==(const TokenizerSpec&) const = default;
};

struct HoldoutInterval {
  std::string record;          // name of the FASTA record
  int64_t begin = 0, end = 0;  // 0-based, half-open
  bool operator==(const HoldoutInterval&) const = default;
};
struct HoldoutSpec {    // exactly one way
  double fraction = 0;  // the last part of every record
  std::vector<std::string> records;
  std::vector<std::string> files;
  std::vector<HoldoutInterval> intervals;
  std::vector<std::string> sources;  // names
  bool empty() const {
    return fraction == 0 && records.empty() && files.empty() && intervals.empty() && sources.empty();
  }
  bool operator==(const HoldoutSpec&) const = default;
};

// Bases that no row comes from, neither in training nor held out.
struct ExcludeSpec {
  std::vector<std::string> files;  // BED
  std::vector<HoldoutInterval> intervals;
  bool empty() const { return files.empty() && intervals.empty(); }
  bool operator==(const ExcludeSpec&) const = default;
};

// A part of the data with an order and a share of rows of its own: a species, a kind of sequence.
struct SourceSpec {
  std::string name;
  std::vector<std::string> files;  // as DataSpec::files
  double weight = -1;              // its share of the rows, relative to the others'; below 0: not given
  bool weighted() const { return weight >= 0; }
  bool operator==(const SourceSpec&) const = default;
};
// Other weights from the first row of this step on.
struct MixtureSpec {
  int64_t from_step = 0;
  std::vector<double> weights;  // of each source, in their order
  bool operator==(const MixtureSpec&) const = default;
};

struct DataSpec {
  std::vector<std::string> files;   // relative ones start at the job file's folder; made absolute by parse
  std::vector<SourceSpec> sources;  // in place of files
  double temperature = 1;           // of sources without weights: shares are proportional to size^(1 / temperature)
  std::vector<MixtureSpec> mixture;
  ExcludeSpec exclude;
  int64_t segment = 250;      // row length in tokens
  int64_t segment_bases = 0;  // stored window in bases; 0 = segment (nucleotide), k * segment (k-mer), BPE: see DESIGN
  int64_t stride = 0;         // in bases; 0 = segment_bases
  bool reverse_complement = true;
  int64_t shift = 0;     // windows begin up to shift - 1 bases further on
  bool packing = false;  // runs of bases one after another, cut into full rows
  HoldoutSpec holdout;
  // Those of all sources, in their order.
  std::vector<std::string> all_files() const {
    std::vector<std::string> all = files;
    for (const SourceSpec& source : sources) all.insert(all.end(), source.files.begin(), source.files.end());
    return all;
  }
  bool operator==(const DataSpec&) const = default;
};

enum class Precision { kAuto, kFp32, kBf16 };
enum class GradientDtype { kFp32, kBf16 };
enum class ScheduleKind { kConstant, kLinear, kCosine, kInverseSqrt };

struct TrainSpec {
  int64_t steps = 1000;
  int64_t lanes = 4;  // power of two
  int64_t micro_batch = 16;
  int64_t micro_batches_per_lane = 1;
  Precision precision = Precision::kAuto;  // auto: bf16 with AMX or GPU, else fp32
  // Of the operands of every addition of lanes, and so of gradients on their way between workers; sums are fp32.
  GradientDtype gradient_dtype = GradientDtype::kFp32;
  uint64_t seed = 1;
  bool deterministic = true;
  double learning_rate = 6e-4;
  ScheduleKind schedule = ScheduleKind::kCosine;
  int64_t warmup = 100;         // steps
  double final_fraction = 0.1;  // learning rate at the end / peak (cosine, linear)
  double weight_decay = 0.1;
  bool decay_norm_and_bias = false;  // decay groups
  bool decay_embeddings = true;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double clip = 1.0;  // global L2 norm; 0 = off

  int64_t rows_per_step() const { return lanes * micro_batches_per_lane * micro_batch; }  // G
  bool operator==(const TrainSpec&) const = default;
};

struct ParallelSpec {
  int64_t replicas = 1, min_replicas = 1, stages = 1, chunks = 1;
  std::vector<int64_t> lane_shares;  // of each replica, relative; empty: as even as can be
  std::string schedule = "1f1b";
  std::string consistency = "bsp";  // bsp | ssp
  int64_t ssp = 0;                  // with ssp: step t may start from weights at or after version t - 1 - ssp
  int64_t threads = 0;              // 0 = all cores
  std::string device = "auto";      // auto | cpu | cuda
  bool backup = true;
  bool recompute = false;  // keep only each block's input; its forward runs again in the backward pass
  bool operator==(const ParallelSpec&) const = default;
};

struct CheckpointSpec {
  int64_t every = 200;  // steps; the last step is always kept. 0 = only the last
  int64_t keep = 3;
  bool operator==(const CheckpointSpec&) const = default;
};

struct EvaluateSpec {
  int64_t every = 200;   // steps; 0 = only at the end
  int64_t batches = 50;  // micro batches of the held-out set for the periodic evaluation; the final one takes all
  std::string metric = "auto";  // which one chooses the best checkpoint: objective.h
  int64_t patience = 0;         // finetuning: evaluations without a better one before the job ends; 0 = never
  bool operator==(const EvaluateSpec&) const = default;
};

struct JobSection {
  std::string name;
  std::string kind = "pretrain";  // or "finetune"
  int64_t priority = 0;           // larger first
  int64_t retries = 3;            // restarts without progress before giving up
  bool operator==(const JobSection&) const = default;
};

struct JobSpec {
  JobSection job;
  ModelSpec model;
  TokenizerSpec tokenizer;
  DataSpec data;
  ObjectiveSpec objective;
  TaskSpec task;  // of a finetuning job
  TrainSpec train;
  ParallelSpec parallel;
  CheckpointSpec checkpoint;
  EvaluateSpec evaluate;
  bool operator==(const JobSpec&) const = default;
};

struct SpecError {
  int line = 0, column = 0;  // of the key or value in the file; 0 when from --set or derived
  std::string key;           // "train.lanes"
  std::string message;       // expected, found, mend
};

struct ParsedJob {
  JobSpec spec;
  std::vector<SpecError> errors;  // every error at once; spec is usable only when empty
};

// `origin` names the file in messages; `base_directory` is where relative data paths start; `sets` are "key=value" of
// --set, applied on top (same checks).
ParsedJob parse_job(const std::string& toml_text, const std::string& origin, const std::string& base_directory,
                    const std::vector<std::string>& sets);
// All errors as one bad_input: "FILE:line:column: key: message" a line.
Error job_errors(const std::string& origin, const std::vector<SpecError>& errors);
// Reads and parses a file; bad_input with every error, or kNotFound.
Result<JobSpec> load_job(const std::string& path, const std::vector<std::string>& sets);

// The effective job with every default written out, as TOML that parse_job reads back to the same value.
std::string effective_job_toml(const JobSpec& spec);
// Keys that differ between a run's job and a resumed one and may not (resume may change [parallel], [checkpoint],
// [evaluate], job.priority, job.retries): "train.learning_rate: 0.001 -> 0.002". Empty when resumable.
std::vector<std::string> resume_differences(const JobSpec& run, const JobSpec& wanted);

// Presets by name, in the order of docs/job_file.md: "omni-dna-20m", ..., "opt-350m", ..., "dna-fm-7b".
std::vector<std::string> preset_names();
Result<TransformerConfig> preset_config(const std::string& name);

}  // namespace strand
