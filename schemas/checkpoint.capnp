@0x97c4d1e8035bf206;
# What a checkpoint stores beside its numbers. docs/checkpoint_format.md tells how files and directories fit together.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");
using Common = import "common.capnp";

struct Manifest {
  # Written last, by the coordinator alone: a checkpoint exists exactly when its manifest does. A reader verifies every part
  # against it and falls back to the next older checkpoint when one is damaged.

  job @0 :UInt64;
  generation @1 :UInt64;
  # The one whose ranges all reported.
  step @2 :Int64;
  nextRow @3 :UInt64;
  # First row of the run that has not been trained on: where a resumed run goes on.
  jobToml @4 :Text;
  # The effective job. A resume with another one is refused except for the keys that may change.
  numerics @5 :Text;
  # Numerics fingerprint of the workers; in deterministic mode a resume under another one is refused.
  dataset @6 :List(Common.FingerprintField);
  digest @7 :Common.Digest;
  stateDigest @8 :Common.Digest;
  parts @9 :List(Part);
  best @10 :Common.BestEvaluation;
  # A finetuning run with a dev set: as of this step. The checkpoint it names is kept as long as this one.

  struct Part {
    file @0 :Text;
    # Relative to checkpoints/.
    bytes @1 :UInt64;
    checksum @2 :Common.Digest;
    # XXH3-128 of the whole file.
  }
}

struct PartHeader {
  # At the start of each part file; the numbers follow, aligned to 64 bytes, in the order of `blocks`: for each block its
  # weights, first moments and second moments, `elements` little-endian fp32 each.

  step @0 :Int64;
  nextRow @1 :UInt64;
  tensorNames @2 :List(Text);
  # Names of the parameter table; Block.tensor is an index into it. Names, not numbers, decide on loading.
  blocks @3 :List(Block);

  struct Block {
    tensor @0 :UInt32;
    block @1 :UInt32;
    # Number of the block within its tensor, 65,536 elements each.
    elements @2 :UInt32;
    # 65,536, or fewer in a tensor's last block.
    weights @3 :UInt64;
    # XXH3-64 of each of the three runs of numbers.
    firstMoment @4 :UInt64;
    secondMoment @5 :UInt64;
  }
}
