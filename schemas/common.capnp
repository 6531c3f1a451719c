@0xd3a1f0c57e9b2401;
# What several messages share.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");

struct Header {
  # On every message: who sends, about what. The sender fills every field it can; 0 means "none" in each of them.

  request @0 :UInt64;
  # The sender's number for this request, from 1, never reused by one incarnation. A request that is sent again keeps its
  # number, and the answer repeats it: the asker takes the first answer and drops the others, so asking twice is harmless.

  job @1 :UInt64;
  # The job the message is about. 0 for client commands, for data requests and for a worker without a job.

  generation @2 :UInt64;
  # Of the job's membership, as journalled by the coordinator before its first use. The receiver drops and counts a message
  # whose generation is older than the one it knows for this job: that is how a worker that was left behind is fenced off.
  # 0: the message carries none (client commands, data requests: any answer to them is right).

  sender @3 :UInt64;
  # Worker id, for ever. 0 for coordinator, data server and client.

  incarnation @4 :UInt64;
  # Of the sending process: nanoseconds since 1970 at its start. A greater one of the same sender ends all smaller ones.

  step @5 :Int64;
  # The optimizer step the message is about: the number of updates done. 0 is the initial weights.
}

struct Digest {
  # XXH3-128 of some bytes. Guards against damage, not against an enemy.

  high @0 :UInt64;
  low @1 :UInt64;
}

struct FingerprintField {
  # One named part of a dataset's fingerprint, so that a refusal can name the field that differs.

  name @0 :Text;
  # "bases", "holdout", "tokenizer", "segment", "stride", "reverse_complement", "format", ...: fixed order, fixed by the
  # data server.
  value @1 :Text;
  # For people: a hash in hexadecimal, a number, "true".
}

struct BestEvaluation {
  # How a finetuning run has done on its dev set up to some step. Travels with every checkpoint, so that a run that goes on
  # from it makes the same choices.

  metric @0 :Text;
  # Which one chooses ("mcc", "loss", ...). Empty: nothing was evaluated yet, and the rest says nothing.
  step @1 :Int64;
  # Of the best evaluation.
  value @2 :Float64;
  since @3 :Int64;
  # Evaluations after it, none of them better.
  last @4 :Int64;
  # Step of the newest evaluation: one that is due there has been made.
}

enum ErrorCode {
  # The class of a failure; it decides whether retrying is sensible and what exit code the command ends with
  # (shared/base/result.h). Carried as its number in the `code` fields below.

  internal @0;     # a defect of Strand's own
  badInput @1;     # the user's file, key or message is wrong; never retried
  notFound @2;     # a named thing is absent
  unavailable @3;  # a peer or resource is away for now; retry is sensible
  deadline @4;     # a wait ran out
  corrupt @5;      # stored bytes fail their checksum
  conflict @6;     # somebody else holds it
  stopped @7;      # stopped on request, can be resumed
  gaveUp @8;       # retries are used up
}
