// Loading a checkpoint, written by any number of workers, into a shard or range by range. Every byte that is used is
// verified before training goes on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/plan/key_range.h"
#include "shared/wire/manifest.h"
#include "worker/params/param_shard.h"

namespace strand {

// Reads <checkpoint_directory>/step-S/manifest. kCorrupt when damaged, kNotFound when absent.
Result<Manifest> read_manifest(FileSystem& fs, const std::string& checkpoint_directory, Step step);

// Fills the shard's three arrays from the parts, whatever their layout, and reads every byte of them. kCorrupt, naming
// file and block, for any damaged byte, a missing or doubled block; kBadInput when the tensors are another model's. On
// error the shard's arrays hold unspecified values and must be filled again.
Status load_parts(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest, ParamShard& shard);

// Reads the blocks of these ranges (whole blocks, in the job table's flat order, else kBadInput) from whatever parts
// hold them. The headers of all parts and the checksums of what is read are verified; errors as load_parts. The sink
// gets the ranges in the order given: weights, first and second moment one after the other, 3 x elements floats that
// live as long as the call; its error ends the reading and is returned. On error, what it was given before is intact.
Status load_ranges(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest,
                   const std::vector<ParameterInfo>& job_table, const std::vector<KeyRange>& ranges,
                   const std::function<Status(size_t index, const float* state)>& sink);

// The newest of `steps` (newest first) whose manifest reads well and whose parts are there with the right sizes and
// headers; the checkpoint that it names as its best likewise. The numbers themselves are not read: that is
// load_ranges' part. Those passed over are logged. 0: none.
Step choose_checkpoint(FileSystem& fs, const std::string& checkpoint_directory, const std::vector<Step>& steps);

}  // namespace strand
