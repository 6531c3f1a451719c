@0xa94f3be2c8d71602;
# Between worker and coordinator. The worker connects; the coordinator answers over the same connection, addressed by the
# worker's routing id (worker id and incarnation). docs/wire_protocol.md tells the rules of resending and fencing.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");
using Common = import "common.capnp";

enum WorkerState {
  # What a worker is doing; every change is told at once by a Heartbeat.

  idle @0;        # no job
  loading @1;     # opening the dataset, reading the checkpoint or drawing the initial weights
  training @2;
  evaluating @3;
  stopping @4;    # writing the last checkpoint after a Stop
  failed @5;      # JobFailed has been or is being sent
}

struct Hello {
  # worker -> coordinator: the first message, and again after a lease of silence or when told so (Refused). Repeated every
  # sixth of a lease, each time with a new number, until answered.
  # Header: job, generation and step say what the worker is doing right now (0 = nothing); a restarted coordinator takes the
  # worker back into that job when its journal agrees. Answer: Welcome or Refused.

  host @0 :Text;
  # For people.
  pid @1 :Int64;
  version @2 :Text;
  # Program version. The coordinator refuses another one than its own.
  numerics @3 :Text;
  # Numerics fingerprint: build, library versions, backend, instruction set. In deterministic mode a job whose checkpoints
  # were made under another one is not given to this worker.
  memoryBytes @4 :UInt64;
  # What the worker may use on its device; admission compares it with the job's estimate.
  state @5 :WorkerState;
  endpoint @6 :Text;
  # Where the other workers of a generation reach this one. Empty: nowhere; then it can only work alone.
}

struct Welcome {
  # coordinator -> worker: the answer to Hello.

  leaseMilliseconds @0 :Int64;
  # The worker sends a Heartbeat at least three times in this time. Silence of one lease makes the coordinator plan a new
  # generation; it never stops the worker by itself.
}

struct Refused {
  # coordinator -> worker: the answer to a Hello that is not accepted, and to any other message of a worker that this
  # coordinator has not met (it was restarted, or the lease ran out).

  code @0 :UInt8;
  # Common.ErrorCode. unavailable: the worker sends Hello, goes on training and sends its unacknowledged messages again. Any
  # other code: it ends with the error.
  reason @1 :Text;
}

struct Assign {
  # coordinator -> worker: train this job in header.generation. Sent again until a Heartbeat with that job and generation
  # arrives. Idempotent: a worker already on them only answers. A worker on an older generation of the job leaves it first.

  jobToml @0 :Text;
  # The effective job: every key with its value, defaults included.
  runDirectory @1 :Text;
  # Absolute; one file system seen by all. Holds store/, checkpoints/, logs/.
  dataEndpoints @2 :List(Text);
  # Data servers, any of which answers any request.
  checkpoints @3 :List(Int64);
  # Steps of the checkpoints that are valid as far as the catalogue knows, newest first. The worker loads the first that
  # verifies. Empty: start from the initial weights.
  directoryToken @4 :Text;
  # What the file runDirectory/token holds. A worker that reads anything else there sees another file system and answers
  # JobFailed with badInput and elsewhere.
  members @5 :List(Member);
  # The whole generation, replica by replica, in each by stage. The receiver's own place is the one with its id and
  # incarnation, here or among those leaving; an Assign without it is not meant for this process and is dropped.
  recordedStep @6 :Int64;
  # The newest step of the job whose StepReport the coordinator has recorded. A member whose training goes on from a later one
  # reports the committed steps above it that it knows of: those of a reporter that is gone.
  leaving @7 :List(Member);
  # Live members of the generation before that have no place in this one (their replica and stage say nothing). They get
  # the Assign as well, give what they hold to the members that ask, and are told to stop after the first step.

  struct Member {
    worker @0 :UInt64;
    incarnation @1 :UInt64;
    replica @2 :Int32;
    # 0 to replicas - 1 of this generation: renumbered when one leaves.
    stage @3 :Int32;
    endpoint @4 :Text;
    # As said in its Hello.
  }
}

struct Heartbeat {
  # worker -> coordinator: every third of a lease and on every change of state. Header: job, generation and step now. The
  # coordinator answers with a Heartbeat of its own (only header.request is set), so that the worker knows it is heard; a
  # worker that hears nothing for a whole lease says Hello and goes on training. Never resent: the next one says more.
  # The coordinator also says it unasked, to learn from its own socket whether the worker is still connected.

  state @0 :WorkerState;
  workNanoseconds @1 :Int64;
  # What this worker itself computed in a step, without waiting for rows or for others, averaged over the last steps: by it a
  # straggler is named. 0: not known yet. The coordinator's is 0.
  suspects @2 :List(UInt64);
  # Ids of the members (or leaving ones) of this generation that keep this worker waiting for longer than its deadline, though
  # they may well be heard by the coordinator: a cut between two workers. Said until they have answered. The coordinator
  # waits for what others say, and plans a generation without one of them.
}

struct StepReport {
  # worker -> coordinator: after every committed step (header.step), by one member of the generation: replica 0, last
  # stage. It keeps it and sends it again until its Ack arrives, so a restarted coordinator misses none. The coordinator
  # records a step once, whatever arrives twice. The last stages of the other replicas keep the newest ones, for when they
  # report in a later generation.

  loss @0 :Float64;
  # Mean over the step's predicted tokens, in nats.
  gradientNorm @1 :Float64;
  # Global norm before clipping.
  learningRate @2 :Float64;
  tokens @3 :Int64;
  # Predicted in this step.
  stepNanoseconds @4 :Int64;
  # From the end of the step before to the end of this one.
  dataWaitNanoseconds @5 :Int64;
  # Part of it spent waiting for rows.
  checkpointWaitNanoseconds @6 :Int64;
  # Part of it spent copying aside for a checkpoint.
  evaluated @7 :Bool;
  # True: the two fields below are set.
  evalLoss @8 :Float64;
  # Mean over the held-out rows, in nats per predicted token.
  evalBitsPerBase @9 :Float64;
  # NaN for a masked objective and for a task.
  metrics @10 :List(Metric);
  # A task: the overall metrics of its dev set. One that is not defined is NaN.
  best @11 :Common.BestEvaluation;
  # A task: as it stands after this evaluation.
  audit @12 :UInt64;
  # Sum modulo 2^64, over the rows of the step that were given to the embedding, of XXH3-64(row number, sample, tokens)
  # (docs/data_flow.md). `strand data audit` computes it again from the store.
  base @13 :Int64;
  # The step that header.generation goes on from. Steps above it are its own, and take the place of those that an older
  # generation took; up to it they were taken before, and are told again.

  struct Metric {
    name @0 :Text;
    # "accuracy", "mcc", ... (shared/metrics/prediction_metrics.h)
    value @1 :Float64;
  }
}

struct Ack {
  # coordinator -> worker: the one message numbered header.request is recorded, durably where it has to be. The worker
  # forgets it. Never sent for a Heartbeat.
}

struct PartSaved {
  # worker -> coordinator, resent until Ack: this member's part of checkpoint header.step is durable. Every member of the
  # generation writes exactly one, with the ranges it is the primary of. When each of them has reported, the coordinator
  # writes the manifest and acknowledges; a report of an older generation is dropped.

  file @0 :Text;
  # Relative to checkpoints/: "step-S/gG-rR-sS", of the member's generation, replica and stage. Created exclusively, never
  # rewritten; a name that no other member has.
  bytes @1 :UInt64;
  checksum @2 :Common.Digest;
  # Of the whole file, computed from memory before the bytes were written.
  digest @3 :Common.Digest;
  # Of the model at that step. Zero where this member does not know it; those that do must agree. With nobody who knows it
  # the coordinator makes it from blockDigests.
  stateDigest @4 :Common.Digest;
  # Of the model, both moments, step and next row. Likewise.
  nextRow @5 :UInt64;
  # First row of the run that this checkpoint has not seen.
  dataset @6 :List(Common.FingerprintField);
  # What the job trains on; goes into the manifest.
  best @7 :Common.BestEvaluation;
  # A task with a dev set: as of that step; goes into the manifest, and keeps the checkpoint it names.
  ranges @8 :List(Range);
  # What the part holds, in order: whole blocks of the job's parameter table. The parts of a checkpoint cover the table
  # exactly once, else there is no manifest.
  blockDigests @9 :List(Common.Digest);
  # Of each block of these ranges, in order: XXH3-128 of its weights, first moments and second moments. Empty where digest
  # and stateDigest are said.

  struct Range {
    firstElement @0 :Int64;
    # In the flat order of the job's parameter table.
    elements @1 :Int64;
  }
}

struct JobFinished {
  # worker -> coordinator, resent until Ack: the last step is committed and this member's part of its checkpoint durable. The
  # job is done once every member of the generation has said so; they are acknowledged then. The numbers are those of the
  # final report, and count from the member that reports steps; the others leave them 0.

  trainLoss @0 :Float64;
  evalLoss @1 :Float64;
  bitsPerBase @2 :Float64;
  # Over the whole held-out set, each base predicted once.
  markovBitsPerBase @3 :Float64;
  # Of the best fixed-order Markov model, same training bases; 0 when it was not computed.
  markovOrder @4 :Int32;
  evalBases @5 :Int64;
  tokens @6 :Int64;
  # Predicted by this process since it began on the job.
  tokensPerSecond @7 :Float64;
  flopsUtilization @8 :Float64;
  # Share of the matrix rate measured by this process.
  digest @9 :Common.Digest;
  # Of the weights that were evaluated: those of the last step, or, of a task with a dev set, of the best one. Zero where
  # no member knows the whole: the coordinator takes the one of that step's checkpoint.
  stateDigest @10 :Common.Digest;
  # Of the training state at the last step. Likewise.
  best @11 :Common.BestEvaluation;
  # A task with a dev set: what was chosen. Its step is the one `digest` belongs to.
  dev @12 :Text;
  test @13 :Text;
  # A task: metrics of the weights `digest` names, as JSON (shared/metrics/prediction_json.h) with "loss". Empty: no such set.
}

struct JobFailed {
  # worker -> coordinator, resent until Ack. The code decides what happens next: badInput and notFound are never retried,
  # corrupt loads an older checkpoint, unavailable and deadline (a peer did not answer) are tried again and blame nobody,
  # anything else is tried elsewhere first.

  code @0 :UInt8;
  # Common.ErrorCode
  reason @1 :Text;
  elsewhere @2 :Bool;
  # True: the job is fine, this worker cannot take part (another file system, too little memory). The others go on without
  # it, and this process is not given the job again.
}

struct Stop {
  # coordinator -> worker, resent until Stopped: leave the job. Also said to a member that the next generation does without.

  checkpoint @0 :Bool;
  # True (pause, Ctrl-C): save the newest committed step first; PartSaved comes before Stopped. False (cancel): at once.
}

struct Stopped {
  # worker -> coordinator, resent until Ack: the job is left; header.step is the last committed step. The job rests once
  # every member of the generation has left; they are acknowledged then.
}
