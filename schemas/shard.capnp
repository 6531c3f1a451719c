@0xe41b7d0a96c3f258;
# Messages between the workers of one group. Every one carries job, generation, sender, incarnation and step in its header;
# the receiver drops and counts a message of an older generation, of a newer one (it has not heard of it yet; the sender
# sends again), and of a process that is not in its plan. Ranges are named by their number in the job's cut, which all members
# compute alike. docs/parameter_shards.md tells the protocol.
#
# A message that is answered with ShardAck is sent again until the answer comes or the generation ends. Receiving one twice
# changes nothing.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");
using Common = import "common.capnp";

struct ShardMessage {
  # The root. A frame of its own kind, so that no other message is taken for one. New kinds are added at the end.

  header @0 :Common.Header;
  body :union {
    nothing @1 :Void;
    # Never sent; refused.
    gradientPiece @2 :GradientPiece;
    gradientSum @3 :GradientSum;
    shardAck @4 :ShardAck;
    partialNorms @5 :PartialNorms;
    globalNorm @6 :GlobalNorm;
    pullRange @7 :PullRange;
    rangeData @8 :RangeData;
    holdingsReport @9 :HoldingsReport;
    recoveryDecision @10 :RecoveryDecision;
    stageData @11 :StageData;
    stageTaken @12 :StageTaken;
    stageAbort @13 :StageAbort;
  }
}

struct LaneNumbers {
  # What a lane's rows say beside their gradient. Goes with the gradient of a stage's first range wherever that goes, so that it
  # is held by as many workers.

  lane @0 :Int64;
  losses @1 :List(Float64);
  # Of the lane's micro batches, in order: sums over targets. From the last stage; empty from any other.
  targets @2 :Int64;
  tokens @3 :Int64;
  # From the last stage.
  rowsHash @4 :UInt64;
  # From the first stage: the sum of the hashes of the rows that it gave to the embedding.
}

struct StepRecord {
  # One step, summed over everything. It exists only when every range of the step is summed in all its holders.

  step @0 :Int64;
  madeIn @1 :UInt64;
  # Generation of the sums. Sums of another one are never applied with this record.
  squaredNorm @2 :Float64;
  # Of the summed gradient, not divided: double partial sums per block added in parameter-table order.
  loss @3 :Float64;
  # Sum over the step's targets, lanes and micro batches added in order.
  targets @4 :Int64;
  tokens @5 :Int64;
  rowsHash @6 :UInt64;
  last @7 :Bool;
  # The group was asked to stop, and this is the step that all of it stops after: whoever applies it begins no other.
}

struct GradientPiece {
  # Computing worker -> primary of the range, followed by a bulk frame with the range's elements: the sum over lanes
  # [index << level, (index + 1) << level). A worker sends the largest subtrees of its lanes. The primary adds pieces as
  # siblings meet, so the order of arrival does not matter. header.step: the step they are gradients of. Answer: ShardAck.

  range @0 :UInt32;
  use @1 :UInt32;
  # 0, or 1 for the output use of a tied embedding, which comes from the last stage.
  level @2 :UInt32;
  index @3 :UInt64;
  numbers @4 :List(LaneNumbers);
  # Of exactly these lanes, or empty.
}

struct GradientSum {
  # Primary -> backup, followed by a bulk frame: the sum over all lanes and uses. The backup answers ShardAck only when it
  # keeps the sum. Both keep it until the next step is committed.

  range @0 :UInt32;
  partials @1 :List(Float64);
  # Sum of squares of each block, in double.
  numbers @2 :List(LaneNumbers);
}

struct ShardAck {
  # Answer: the message numbered header.request is taken, now or before. The sender stops sending it.
}

struct RangeNorm {
  range @0 :UInt32;
  partials @1 :List(Float64);
}

struct PartialNorms {
  # Every worker -> norm worker, once a step. Says two things: all ranges that the sender is primary of are summed here and
  # acknowledged by their backups, and the sender has applied the step before. Answer: ShardAck.

  ranges @0 :List(RangeNorm);
  numbers @1 :List(LaneNumbers);
}

struct GlobalNorm {
  # Norm worker -> every worker, when the PartialNorms of every member are there: step record.step is committed. The receiver
  # applies it, and forgets sums of earlier steps (everybody has applied those). A loss or norm that is not finite, or no
  # target at all: the receiver applies nothing and fails the step. Answer: ShardAck.

  record @0 :StepRecord;
}

struct PullRange {
  # Asks a holder of the range. Sent again until RangeData with its number arrives.

  range @0 :UInt32;
  version @1 :Int64;
  # Without state: this version or a later one, as soon as there is one. With state: exactly this one.
  state @2 :Bool;
}

struct RangeData {
  # Answer to PullRange (header.request is the asker's number), followed by a bulk frame: weights or, with state, weights, first
  # and second moment, one after the other.

  range @0 :UInt32;
  version @1 :Int64;
  state @2 :Bool;
}

struct HeldSum {
  step @0 :Int64;
  madeIn @1 :UInt64;
  partials @2 :List(Float64);
  numbers @3 :List(LaneNumbers);
}

struct RangeHolding {
  range @0 :UInt32;
  version @1 :Int64;
  planned @2 :Bool;
  # False: not a holder by its last plan; kept until the first step of that plan is committed.
  sums @3 :List(HeldSum);
}

struct HoldingsReport {
  # Every member and every leaving worker -> norm worker of the new generation, in header.generation: what it holds. Answer:
  # ShardAck, then RecoveryDecision.

  joined @0 :UInt64;
  # The generation before this one that the sender took part in. One that missed a decision since holds nothing of worth.
  decided @1 :UInt64;
  reloaded @2 :Bool;
  holdings @3 :List(RangeHolding);
  records @4 :List(StepRecord);
  stale @5 :List(UInt64);
  # Whom that decision named stale: one of them that has not heard of it holds nothing of worth now either.
}

struct RangeSource {
  range @0 :UInt32;
  worker @1 :UInt64;
}

struct RecoveryDecision {
  # Norm worker -> all, once every one of them has reported. A holding is right at version `base`, or one step behind with a
  # sum of the record's generation, which is applied now; every other one is dropped. A holder of the new plan that lacks a
  # range pulls it from its source. Answer: ShardAck.

  base @0 :Int64;
  reload @1 :Bool;
  # True: all of it is void; every holder loads its ranges from the checkpoint of step base (0: initial weights).
  records @2 :List(StepRecord);
  # At most one.
  stale @3 :List(UInt64);
  sources @4 :List(RangeSource);
}

struct StageData {
  # From one stage of a replica to its neighbour, followed by a bulk frame: the stored elements of one micro batch's activation,
  # or of its gradient. Sent again until it is taken; once it has arrived, with an empty bulk frame, which asks for the answer
  # alone. Receiving one twice changes nothing. header.step: the step. Answer: StageTaken.

  pass @0 :UInt32;
  # 0: the training pass of the step; 1, 2, ...: evaluation passes after it.
  kind @1 :UInt8;
  # 0: an activation, to the next stage. 1: a gradient, to the stage before.
  chunk @2 :UInt32;
  # Of the receiver.
  microBatch @3 :UInt32;
  sequence @4 :UInt64;
  # 0, 1, 2, ... of this kind in this pass.
}

struct StageTaken {
  # Back to the sender of StageData. All messages numbered below `taken` are with the training, and leave room for as many new
  # ones; all below `arrived` are kept, so that their bulk need not be sent again.

  pass @0 :UInt32;
  kind @1 :UInt8;
  taken @2 :UInt64;
  arrived @3 :UInt64;
}

struct StageAbort {
  # To both neighbours, a few times: the sender has given this pass up, and so must they. Not answered.

  pass @0 :UInt32;
  code @1 :UInt8;
  # Of the error: one of strand::ErrorCode.
  reason @2 :Text;
}
