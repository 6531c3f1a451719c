// Loading a checkpoint into a shard. Every checksum is verified before training goes on.
#pragma once

#include <string>

#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/wire/manifest.h"
#include "worker/params/param_shard.h"

namespace strand {

// Reads <checkpoint_directory>/step-S/manifest. kCorrupt when damaged, kNotFound when absent.
Result<Manifest> read_manifest(FileSystem& fs, const std::string& checkpoint_directory, Step step);

// Fills the shard's three arrays from the parts, whatever their layout. kCorrupt, naming file and block, for any
// damaged byte, a missing or doubled block; kBadInput when the tensors are another model's. On error the shard's arrays
// hold unspecified values and must be filled again.
Status load_parts(FileSystem& fs, const std::string& checkpoint_directory, const Manifest& manifest, ParamShard& shard);

}  // namespace strand
