// What the command line does with checkpoints, without a coordinator.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "shared/wire/manifest.h"
#include "worker/trainer.h"

namespace strand {

// The newest checkpoint of a run directory whose manifest and parts pass every check, or the one of `step` (>= 0).
// Damaged ones are logged and passed over; kNotFound when none is left. Imported and published weights count as step 0.
struct LoadedCheckpoint {
  Manifest manifest;
  Digest128 digest, state_digest;  // computed from the loaded state
};
Result<LoadedCheckpoint> digest_checkpoint(const std::string& run_directory, Step step);

// The whole held-out set, or a task's dev and test sets, through the model of a checkpoint, with rows from the data
// server at `data_endpoint`.
struct EvaluateOptions {
  std::string run_directory;
  Step step = -1;  // newest; of a finetuning run the best
  std::string data_endpoint;
  int threads = 0;
  std::function<std::unique_ptr<Transport>()> make_transport;
  std::function<void(uint64_t done, uint64_t total)> progress;
  const std::atomic<bool>* stop = nullptr;  // give up with kStopped
};
struct CheckpointEvaluation {
  Step step = 0;
  EvaluationResult result;  // of pretraining
  std::string dev, test;    // of a task: metrics as JSON (finetune.h), empty without such a set
  Digest128 digest;
  double markov_bits_per_base = 0;
  int markov_order = 0;
};
Result<CheckpointEvaluation> evaluate_checkpoint(const EvaluateOptions& options);

}  // namespace strand
