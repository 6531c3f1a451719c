// Every message between processes as plain values; the codec turns them into Cap'n Proto (schemas/) and back.
// Bulk bytes (tokens) travel in frames of their own after the message and are never copied into it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/plan/group_member.h"
#include "shared/plan/key_range.h"

namespace strand {

constexpr uint32_t kWireVersion = 4;  // 4: tokens of one byte

// Who sends, about what. The receiver drops and counts a message whose generation is older than its own for that job.
struct Header {
  uint64_t request = 0;  // the sender's number for this request; a reply repeats it. Resent requests keep theirs
  JobId job;
  Generation generation;  // 0: carries none (client commands, data requests)
  WorkerId sender;
  Incarnation incarnation;
  Step step = 0;
  bool operator==(const Header&) const = default;
};

// Names one dataset: fields of the fingerprint, in fixed order, so that a refusal can name the one that differs.
struct FingerprintField {
  std::string name;  // "bases", "holdout", "tokenizer", "segment", "stride", "format", ...
  std::string value;
  bool operator==(const FingerprintField&) const = default;
};

// --- worker <-> coordinator -----------------------------------------------------------------------------------------

// How a finetuning run has done on its dev set up to some step; travels with every checkpoint, so that a run that goes
// on from it makes the same choices. worker/best_evaluation.h has the rules.
struct BestEvaluation {
  std::string metric;  // which one chooses; empty: nothing was evaluated yet
  Step step = 0;       // of the best evaluation
  double value = 0;
  int64_t since = 0;  // evaluations after it, none of them better
  Step last = 0;      // of the newest evaluation: one that is due there has been made
  bool operator==(const BestEvaluation&) const = default;
};
struct NamedMetric {
  std::string name;  // "accuracy", "mcc", ... (shared/metrics/prediction_metrics.h)
  double value = 0;
  bool operator==(const NamedMetric&) const = default;
};

enum class WorkerState : uint8_t { kIdle, kLoading, kTraining, kEvaluating, kStopping, kFailed };

// worker -> coordinator, first message after (re)connecting, also to a restarted coordinator. job/generation/step in
// the header say what it is doing now (0 = nothing). Answer: Welcome or Refused.
struct Hello {
  std::string host;
  int64_t pid = 0;
  std::string version;   // program version; another one is refused
  std::string numerics;  // numerics fingerprint (DESIGN section 5)
  uint64_t memory_bytes = 0;
  WorkerState state = WorkerState::kIdle;
  std::string endpoint;  // where other workers reach this one; empty: nowhere
  bool operator==(const Hello&) const = default;
};
struct Welcome {
  int64_t lease_milliseconds = 0;  // heartbeats come at least three times a lease
  bool operator==(const Welcome&) const = default;
};
// Also the answer to any other message of a worker that this coordinator has not met (it was restarted, or the lease
// ran out): code kUnavailable. The worker sends Hello and goes on; its unacknowledged messages are resent. Any other
// code: it exits.
struct Refused {
  uint8_t code = 0;  // ErrorCode
  std::string reason;
  bool operator==(const Refused&) const = default;
};
// coordinator -> worker: train this. Idempotent: a worker already on (job, generation) answers with a Heartbeat.
struct Assign {
  std::string job_toml;       // the effective job
  std::string run_directory;  // holds store/, checkpoints/, ...
  std::vector<std::string> data_endpoints;
  std::vector<Step> checkpoints;  // valid as far as the catalogue knows, newest first; empty = from initial weights
  std::string directory_token;    // what run_directory/token must hold, else JobFailed kBadInput: another file system
  std::vector<GroupMember> members;  // of the generation, by replica, then stage; the receiver finds itself in it
  Step recorded_step = 0;            // the reporting member also reports the committed steps above it that it knows
  std::vector<GroupMember> leaving;  // live members of the generation before without a place in this one
  bool operator==(const Assign&) const = default;
};
// worker -> coordinator, every lease / 3 and on every change of state.
struct Heartbeat {
  WorkerState state = WorkerState::kIdle;
  int64_t work_nanoseconds = 0;         // own computing per step, waiting left out, averaged; 0: not known
  std::vector<WorkerId> suspects = {};  // of this generation: they keep this worker waiting beyond its deadline
  bool operator==(const Heartbeat&) const = default;
};
// worker -> coordinator after a step, from replica 0's last stage. Kept by the worker until acknowledged (Ack), so none
// is lost with a coordinator.
struct StepReport {
  double loss = 0;  // mean nats per predicted token
  double gradient_norm = 0;
  double learning_rate = 0;
  int64_t tokens = 0;  // predicted in this step
  int64_t step_nanoseconds = 0;
  int64_t data_wait_nanoseconds = 0;
  int64_t checkpoint_wait_nanoseconds = 0;
  bool evaluated = false;
  double eval_loss = 0;              // nats per predicted token
  double eval_bits_per_base = 0;     // NaN for a masked objective and for a task
  std::vector<NamedMetric> metrics;  // a task: the overall metrics of its dev set; NaN where one is not defined
  BestEvaluation best;               // a task: as it stands after this evaluation
  uint64_t audit = 0;                // sum over the step's rows (shared/base/row_audit.h)
  Step base = 0;                     // its generation goes on from there; a step up to it was taken before
  bool operator==(const StepReport&) const = default;
};
// coordinator -> worker: the one message with this header.request has been recorded (never sent for a Heartbeat).
struct Ack {
  bool operator==(const Ack&) const = default;
};
// worker -> coordinator, resent until Ack: this member's one file of checkpoint header.step is durable.
struct PartSaved {
  std::string file;  // relative to checkpoints/, "step-S/gG-rR-sS"
  uint64_t bytes = 0;
  Digest128 checksum;  // of the whole file
  Digest128 digest;    // model digest at that step; zero (and state_digest) where this member does not know it
  Digest128 state_digest;
  uint64_t next_row = 0;
  std::vector<FingerprintField> dataset;  // what this job trains on; goes into the manifest
  BestEvaluation best;                    // a task with a dev set: as of that step; goes into the manifest
  std::vector<KeyRange> ranges;           // what the part holds, in order: whole blocks of the job's parameter table
  std::vector<Digest128> block_digests;   // of each of their blocks: weights, first, second moment; or digest is set
  bool operator==(const PartSaved&) const = default;
};
// worker -> coordinator, resent until Ack.
struct JobFinished {
  double train_loss = 0, eval_loss = 0, bits_per_base = 0, markov_bits_per_base = 0;
  int32_t markov_order = 0;
  int64_t eval_bases = 0;
  int64_t tokens = 0;  // predicted by this process since it began on the job
  double tokens_per_second = 0;
  double flops_utilization = 0;  // share of the matrix rate measured by this process
  // Of the evaluated weights (a task with a dev set: of the best step's), and of the training state at the last step;
  // zero: as that step's checkpoint says.
  Digest128 digest, state_digest;
  BestEvaluation best;    // a task with a dev set: what was chosen
  std::string dev, test;  // a task: metrics of those weights, as JSON with "loss"; empty: no such set
  bool operator==(const JobFinished&) const = default;
};
// worker -> coordinator, resent until Ack. code says the class of failure (kBadInput: never retry).
struct JobFailed {
  uint8_t code = 0;  // ErrorCode
  std::string reason;
  bool elsewhere = false;  // this worker cannot take part, another one can
  bool operator==(const JobFailed&) const = default;
};
// coordinator -> worker: make a checkpoint of the newest committed step and stop. Answer: PartSaved..., then Stopped.
struct Stop {
  bool checkpoint = true;  // false: drop everything at once (cancel)
  bool operator==(const Stop&) const = default;
};
// worker -> coordinator, resent until Ack.
struct Stopped {
  bool operator==(const Stopped&) const = default;
};

// --- worker or client <-> data server ------------------------------------------------------------------------------

struct OpenDataset {
  std::string job_toml;  // [data], [tokenizer], [objective], [[task]], train.seed and model.vocabulary decide
  std::vector<FingerprintField> expected;  // empty: any; else the fields of the dataset the client trained on before
  bool operator==(const OpenDataset&) const = default;
};
enum class DatasetState : uint8_t { kBuilding, kReady, kRefused };
struct DatasetStatus {
  DatasetState state = DatasetState::kBuilding;
  double progress = 0;  // of building, in [0, 1]
  uint8_t code = 0;     // kRefused: ErrorCode and reason
  std::string reason;
  Digest128 fingerprint;
  std::vector<FingerprintField> fields;
  uint64_t segments = 0;             // training segments (a task: examples): rows of one pass
  uint64_t eval_rows = 0;            // rows of the held-out set (a task: dev), each target base once
  int64_t eval_bases = 0;            // bases of all predicted tokens of the held-out set
  int32_t vocabulary = 0;            // ids of the tokenizer
  std::vector<uint8_t> token_bases;  // bases of each id, 0 for special tokens
  bool markov_ready = false;
  std::vector<double> markov_bits;  // by order, 0..12; computed in the background after kReady
  uint32_t segment = 0;             // tokens in a row as it travels: at most data.segment
  // From here on of a task only.
  uint64_t test_rows = 0;
  uint32_t labels_per_row = 0;                      // of the label frame; 0: labels belong to tokens
  std::vector<std::string> output_names;            // classes or labels, in the order of the head's outputs
  std::vector<double> label_mean, label_deviation;  // regress: labels travel as (label - mean) / deviation
  uint64_t longest_row = 0;                         // tokens, uncut
  std::vector<uint64_t> cut_rows, cut_tokens;       // of training, dev, test: rows too long, and their tokens beyond
  bool operator==(const DatasetStatus&) const = default;
};
enum class RowSet : uint8_t { kTraining, kHeldOut, kTest };  // of a task, kHeldOut is dev
constexpr size_t kRowSets = 3;
const char* row_set_name(RowSet set);  // "training", "held-out", "test"

// Rows [first_row, first_row + rows) of the run (training), or of a fixed set. A pure function of the arguments.
struct FetchRows {
  Digest128 fingerprint;
  uint64_t seed = 0;
  RowSet set = RowSet::kTraining;
  uint64_t first_row = 0;
  uint32_t rows = 0;
  bool operator==(const FetchRows&) const = default;
};
constexpr uint16_t kNoTarget = 65535;  // in a frame of targets: nothing is asked of this token

// Answer to FetchRows, followed by bulk frames: tokens [rows, segment], padded with 0, uint8 or uint16 by
// `token_bytes`; uint16 lengths [rows]; if `targets`, uint16 targets [rows, segment]; if labels_per_row > 0, float
// labels [rows, labels_per_row], NaN where missing. Without the last two token i + 1 is the target of token i, for i +
// 1 < length.
struct Rows {
  uint64_t first_row = 0;
  uint32_t rows = 0;
  uint32_t segment = 0;
  uint64_t checksum = 0;  // the bulk frames' XXH3-64, xored
  bool targets = false;
  uint32_t labels_per_row = 0;
  std::vector<uint64_t> samples;  // [rows]: what each row is made from, by the dataset's own number (docs/data_flow.md)
  uint8_t token_bytes = 2;        // 1 where the vocabulary has at most kMostNarrowIds ids, else 2
  bool operator==(const Rows&) const = default;
};
constexpr int32_t kMostNarrowIds = 256;

struct DataRefused {
  uint8_t code = 0;
  std::string reason;
  bool operator==(const DataRefused&) const = default;
};

// --- client <-> coordinator ------------------------------------------------------------------------------------------

// command: submit, jobs, show, stop, cancel, pause, resume, priority, metrics, checkpoints, workers, events, shutdown.
// Arguments and answers are JSON objects (schemas/README.md lists them).
struct ClientRequest {
  std::string command;
  std::string json;
  bool operator==(const ClientRequest&) const = default;
};
struct ClientReply {
  uint8_t code = 255;  // 255 = fine, else ErrorCode
  std::string json;    // or the error's message
  bool operator==(const ClientReply&) const = default;
};

using Body =
    std::variant<Hello, Welcome, Refused, Assign, Heartbeat, StepReport, Ack, PartSaved, JobFinished, JobFailed, Stop,
                 Stopped, OpenDataset, DatasetStatus, FetchRows, Rows, DataRefused, ClientRequest, ClientReply>;

struct WireMessage {
  Header header;
  Body body;
  bool operator==(const WireMessage&) const = default;
};

// One frame: magic, version, length, XXH3-64 of the payload, then the Cap'n Proto payload.
std::string encode_message(const WireMessage& message);
// kCorrupt for a damaged, too long (> 64 MiB) or unknown frame; kBadInput, naming both versions, for another version.
Result<WireMessage> decode_message(const void* data, size_t bytes);
const char* message_name(const Body& body);  // "hello", ...

}  // namespace strand
