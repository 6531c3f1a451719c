// The disk side of the coordinator: what a run directory holds and what is written there.
//   token  job.toml  metrics.jsonl  tensorboard/  logs/  checkpoints/step-S/{manifest, gG-rR-sS...}
#pragma once

#include <string>
#include <vector>

#include "coordinator/event.h"
#include "shared/formats/json.h"
#include "shared/fs/file_system.h"

namespace strand {

// Performs a PrepareRun. `fresh_token` is written when the directory has none yet. A directory that does not exist is
// fine without `create`: it holds nothing.
RunPrepared prepare_run(FileSystem& fs, const PrepareRun& run, const std::string& fresh_token);

// Writes the manifest of a checkpoint whose parts are all there in the reported size; kCorrupt otherwise.
Status write_manifest(FileSystem& fs, const WriteManifest& action);
// The manifest goes first, so that a half-removed checkpoint is none.
Status remove_checkpoint(FileSystem& fs, const std::string& run_directory, Step step);
// Reads back every byte of the parts; kCorrupt names the file.
Status verify_checkpoint(FileSystem& fs, const std::string& run_directory, Step step);

// What <run directory>/checkpoints holds, in order of steps; a directory without any is fine.
struct CheckpointListing {
  std::vector<Manifest> manifests;
  std::vector<DamagedCheckpoint> damaged;
  std::vector<Step> unfinished;  // without a manifest: not checkpoints (yet)
};
Result<CheckpointListing> list_checkpoints(FileSystem& fs, const std::string& run_directory);

// The figures of a step, for metrics and clients alike.
Json step_json(Step step, const StepReport& report);
// A task's evaluation: its loss and overall metrics by name.
Json metrics_json(const StepReport& report);
// One line of metrics.jsonl.
std::string metrics_line(const RecordStep& record);

}  // namespace strand
