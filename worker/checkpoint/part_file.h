// One part of a checkpoint, written: docs/checkpoint_format.md describes the bytes. What copies the numbers aside and
// when is the CheckpointWriter's.
#pragma once

#include <string>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/plan/block_table.h"
#include "shared/wire/manifest.h"

namespace strand {

struct PartRequest {
  Step step = 0;
  Generation generation;
  uint64_t next_row = 0;
  std::string name;     // of the file within step-S, unique in the generation: part_file_name
  BestEvaluation best;  // of a finetuning run, as of this step; handed on in PartSaved
};
// "g3-r1-s0": of the member of this place in this generation.
std::string part_file_name(Generation generation, int replica, int stage);

struct PartContent {
  PartRequest request;
  std::vector<KeyRange> ranges;  // of the job's flat order, in order, neighbours joined
  std::vector<size_t> blocks;    // theirs: numbers in the job's BlockTable, in order
  const float* data = nullptr;   // of each of them weights, first moment, second moment
};
// Creates the file exclusively, checksums what goes into it, and returns when bytes and name are durable. The part of
// the whole job says its digests itself, any other those of its blocks.
Result<PartSaved> write_part(FileSystem& fs, const std::string& checkpoint_directory,
                             const std::vector<ParameterInfo>& table, const BlockTable& blocks,
                             const PartContent& content);

}  // namespace strand
