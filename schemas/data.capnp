@0xc61d0a85f3e29703;
# Between a worker or a client and a data server. Requests carry no generation: an answer is a pure function of the request
# and of the dataset, so any data server may answer, twice if asked, and every answer is right.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("strand::schema");
using Common = import "common.capnp";

struct OpenDataset {
  # worker or client -> data server: prepare this dataset. Asked again until the answer is ready or refused; asking for a
  # dataset that is being built starts nothing twice. Answer: DatasetStatus.

  jobToml @0 :Text;
  # The effective job. [data], [tokenizer], [objective], [[task]], train.seed and model.vocabulary decide.
  expected @1 :List(Common.FingerprintField);
  # The fields of the dataset that the client trained on before; any difference is refused, naming the field. Empty: any.
}

enum DatasetState {
  building @0;
  ready @1;
  refused @2;
}

struct DatasetStatus {
  # data server -> asker: the answer to OpenDataset.

  state @0 :DatasetState;
  progress @1 :Float64;
  # Of building, in [0, 1].
  code @2 :UInt8;
  # refused: Common.ErrorCode. The asker ends the job with it.
  reason @3 :Text;
  fingerprint @4 :Common.Digest;
  # ready: from here on set. Names the dataset in FetchRows.
  fields @5 :List(Common.FingerprintField);
  # What the fingerprint is made from.
  segments @6 :UInt64;
  # Training segments, or a task's training examples: the rows of one pass.
  evalRows @7 :UInt64;
  # Rows of the held-out set; of a task, of its dev set.
  evalBases @8 :Int64;
  # Bases of all predicted tokens of the held-out set.
  vocabulary @9 :Int32;
  # Ids of the tokenizer: every token is smaller.
  tokenBases @10 :Data;
  # One byte for each id: the bases it stands for, 0 for special tokens.
  markovReady @11 :Bool;
  # The next field is filled. It is computed in the background after the dataset is ready: ask again.
  markovBits @12 :List(Float64);
  # Bits per base of the fixed-order Markov models on the held-out set, order 0 first. None for a masked objective, whose
  # figures are not comparable, and for a task.
  segment @13 :UInt32;
  # Tokens in a row as it travels: data.segment, or for a task the longest of its rows when that is less.
  testRows @14 :UInt64;
  # A task: rows of its test set.
  labelsPerRow @15 :UInt32;
  # A task: numbers in a row of the label frame; 0 where labels belong to tokens.
  outputNames @16 :List(Text);
  # A task: its classes, or its labels, in the order of the head's outputs.
  labelMean @17 :List(Float64);
  labelDeviation @18 :List(Float64);
  # A task of numbers: of the training rows, for each label. The labels that travel are (label - mean) / deviation.
  longestRow @19 :UInt64;
  # A task: tokens of its longest row, uncut.
  cutRows @20 :List(UInt64);
  cutTokens @21 :List(UInt64);
  # A task: rows longer than data.segment, and their tokens beyond it, of the training, dev and test sets.
}

enum RowSet {
  training @0;
  heldOut @1;
  # Of a task: dev.
  test @2;
}

struct FetchRows {
  # worker or client -> data server: rows [firstRow, firstRow + rows) of the run, or of a fixed set. Answer: Rows or
  # DataRefused. The asker keeps only a bounded number of these unanswered (credits), and so bounds what is under way.

  fingerprint @0 :Common.Digest;
  seed @1 :UInt64;
  oldHeldOut @2 :Bool;
  # Version 1's way to say `set`; neither written nor read.
  firstRow @3 :UInt64;
  rows @4 :UInt32;
  set @5 :RowSet;
}

struct Rows {
  # data server -> asker. Followed by bulk frames, little-endian:
  #   tokens [rows, segment], row after row, padded with 0: UInt8 or UInt16, by `tokenBytes`;
  #   UInt16 lengths [rows]: the tokens of each row that are real;
  #   UInt16 targets [rows, segment], if `targets`: what each token must be answered with (masked objective: the token it
  #     was; token labels: its class), 65535 where nothing is asked;
  #   Float32 labels [rows, labelsPerRow], if labelsPerRow is not 0: class numbers, 0 or 1, or numbers; NaN where missing.
  # Without targets and labels token i + 1 is the target of token i, for i + 1 < length.
  # The asker compares sizes and checksum, and asks again when they differ.

  firstRow @0 :UInt64;
  rows @1 :UInt32;
  segment @2 :UInt32;
  checksum @3 :UInt64;
  # The bulk frames' XXH3-64, xored.
  targets @4 :Bool;
  labelsPerRow @5 :UInt32;
  samples @6 :List(UInt64);
  # For each row the dataset's own number of the sample it is made from: the training segment, the held-out row, or the row
  # of a task's table (docs/data_flow.md). An answer without as many samples as rows is damaged.
  tokenBytes @7 :UInt8;
  # Bytes of a token: 1 where the vocabulary has at most 256 ids, else 2.
}

struct DataRefused {
  # data server -> asker: FetchRows cannot be answered: an unknown fingerprint (notFound: open the dataset again), rows
  # outside the held-out or test set or too many at once (badInput).

  code @0 :UInt8;
  # Common.ErrorCode
  reason @1 :Text;
}
