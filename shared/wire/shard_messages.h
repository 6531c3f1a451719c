// Messages between the workers of one group: gradients, norms, weights and recovery (DESIGN section 5, Commit), and
// what the stages of a replica give each other. Header: job, generation, sender and step of every one of them are set;
// docs/parameter_shards.md and docs/pipeline.md tell the protocols.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/wire/messages.h"

namespace strand {

// What a lane's rows say beside their gradient. It travels with the gradient of the first range of a stage, so that it
// is kept in as many places: losses, targets and tokens from the last stage, the hash from the first.
struct LaneNumbers {
  int64_t lane = 0;
  std::vector<double> losses;  // sums over targets, of each micro batch in order
  int64_t targets = 0, tokens = 0;
  uint64_t rows_hash = 0;  // sum of the hashes of the rows given to the embedding
  bool operator==(const LaneNumbers&) const = default;
};

// A step as the whole group knows it: it is committed where this exists and can be applied.
struct StepRecord {
  Step step = 0;
  Generation made_in;       // of the sums it was made from
  double squared_norm = 0;  // of the summed, not yet divided gradient
  double loss = 0;          // sum over targets
  int64_t targets = 0, tokens = 0;
  uint64_t rows_hash = 0;
  bool last = false;  // the group was asked to stop: no step is begun after this one
  bool operator==(const StepRecord&) const = default;
};

// computing worker -> primary, bulk frame: the sum over one subtree of lanes, of one use of the range. Answer:
// ShardAck.
struct GradientPiece {
  uint32_t range = 0;
  uint32_t use = 0;  // 1: of a tied embedding's output use
  uint32_t level = 0;
  uint64_t index = 0;                // of the subtree: lanes [index << level, (index + 1) << level)
  std::vector<LaneNumbers> numbers;  // of these lanes, with use 0 of a stage's first range
  bool operator==(const GradientPiece&) const = default;
};
// primary -> backup, bulk frame: the sum over all lanes. Answer: ShardAck, once it is kept.
struct GradientSum {
  uint32_t range = 0;
  std::vector<double> partials;  // squares by block
  std::vector<LaneNumbers> numbers;
  bool operator==(const GradientSum&) const = default;
};
// The message numbered header.request is taken, or was before.
struct ShardAck {
  bool operator==(const ShardAck&) const = default;
};
struct RangeNorm {
  uint32_t range = 0;
  std::vector<double> partials;
  bool operator==(const RangeNorm&) const = default;
};
// worker -> norm worker, once a step: this worker has applied the step before, and every range that it is primary of is
// summed here and at its backup. Answer: ShardAck.
struct PartialNorms {
  std::vector<RangeNorm> ranges;
  std::vector<LaneNumbers> numbers;
  bool operator==(const PartialNorms&) const = default;
};
// norm worker -> all: the step is committed (or, not finite, failed). Answer: ShardAck.
struct GlobalNorm {
  StepRecord record;
  bool operator==(const GlobalNorm&) const = default;
};
// Asks for the weights of a range at `version` or later or, with `state`, for its weights and moments at it.
// Answer: RangeData.
struct PullRange {
  uint32_t range = 0;
  Step version = 0;
  bool state = false;
  bool operator==(const PullRange&) const = default;
};
// Bulk frame: weights, or weights, first and second moment.
struct RangeData {
  uint32_t range = 0;
  Step version = 0;
  bool state = false;
  bool operator==(const RangeData&) const = default;
};
struct HeldSum {
  Step step = 0;
  Generation made_in;
  std::vector<double> partials;
  std::vector<LaneNumbers> numbers;
  bool operator==(const HeldSum&) const = default;
};
struct RangeHolding {
  uint32_t range = 0;
  Step version = 0;
  bool planned = true;  // false: kept from an earlier plan until the first step of this one is committed
  std::vector<HeldSum> sums;
  bool operator==(const RangeHolding&) const = default;
};
// worker -> norm worker of a new generation. Answer: ShardAck.
struct HoldingsReport {
  Generation joined;      // the last generation before this one that this worker took part in; 0: none
  Generation decided;     // the last one whose decision it heard
  bool reloaded = false;  // that decision was to load a checkpoint
  std::vector<RangeHolding> holdings;
  std::vector<StepRecord> records;   // of the newest steps
  std::vector<WorkerId> stale = {};  // whom that decision named stale
  bool operator==(const HoldingsReport&) const = default;
};
struct RangeSource {
  uint32_t range = 0;
  WorkerId worker;
  bool operator==(const RangeSource&) const = default;
};
// norm worker -> all: where training goes on. Answer: ShardAck.
struct RecoveryDecision {
  Step base = 0;                     // the version that every range comes to first
  bool reload = false;               // from the checkpoint of that step; what was held is void
  std::vector<StepRecord> records;   // of step `base`, if anybody knows it: who is one behind applies it
  std::vector<WorkerId> stale;       // have been left out of a decision before: what they hold is void
  std::vector<RangeSource> sources;  // for every range that a holder of the new plan has not: who gives its state
  bool operator==(const RecoveryDecision&) const = default;
};

// Between neighbouring stages of one replica (worker/pipeline/stage_link.h); header.step is the step. In all of them
// `pass` is 0 for the training pass of that step and 1, 2, ... for evaluation passes after it; `kind` is 0 for an
// activation, which goes to the next stage, and 1 for a gradient, which goes to the one before. Answer: StageTaken.
// Bulk frame: the stored elements of one micro batch; empty: the receiver has this message, and is asked what it took.
struct StageData {
  uint32_t pass = 0;
  uint8_t kind = 0;
  uint32_t chunk = 0;  // of the receiver
  uint32_t micro_batch = 0;
  uint64_t sequence = 0;  // 0, 1, 2, ... of this kind in this pass
  bool operator==(const StageData&) const = default;
};
// Of the messages of this kind in this pass, all those numbered below these are taken, or have at least arrived.
struct StageTaken {
  uint32_t pass = 0;
  uint8_t kind = 0;
  uint64_t taken = 0;  // leave room for as many new ones
  uint64_t arrived = 0;
  bool operator==(const StageTaken&) const = default;
};
// The sender has given this pass up. Not answered.
struct StageAbort {
  uint32_t pass = 0;
  uint8_t code = 0;  // ErrorCode
  std::string reason;
  bool operator==(const StageAbort&) const = default;
};

using ShardBody = std::variant<GradientPiece, GradientSum, ShardAck, PartialNorms, GlobalNorm, PullRange, RangeData,
                               HoldingsReport, RecoveryDecision, StageData, StageTaken, StageAbort>;
// Of the pipeline; all others are of the parameter shards.
inline bool is_stage_message(const ShardBody& body) {
  return std::holds_alternative<StageData>(body) || std::holds_alternative<StageTaken>(body) ||
         std::holds_alternative<StageAbort>(body);
}

struct ShardMessage {
  Header header;
  ShardBody body;
  bool operator==(const ShardMessage&) const = default;
};

// A frame of its own kind (frame.h), of version kWireVersion; errors as decode_message.
std::string encode_shard_message(const ShardMessage& message);
Result<ShardMessage> decode_shard_message(const void* data, size_t bytes);
const char* shard_message_name(const ShardBody& body);  // "gradient_piece", ...

}  // namespace strand
