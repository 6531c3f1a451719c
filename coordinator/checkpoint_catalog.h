// The checkpoints of one job: parts that workers report, what is complete, what is kept. Pure; the disk is somewhere
// else (run_directory.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shared/base/ids.h"
#include "shared/wire/manifest.h"
#include "shared/wire/messages.h"

namespace strand {

enum class CheckpointState : uint8_t {
  kPresent,   // manifest and parts are there, sizes right; checksums not looked at yet
  kVerified,  // every checksum has been read back
  kDamaged,   // never assigned, never counted
};
const char* checkpoint_state_name(CheckpointState state);

struct CheckpointEntry {
  Step step = 0;
  Generation generation;
  uint64_t next_row = 0, bytes = 0;
  Digest128 digest, state_digest;
  std::vector<std::string> files;
  BestEvaluation best;  // of a finetuning run, as of this step
  CheckpointState state = CheckpointState::kPresent;
  std::string reason;  // of damage
  // Of all committed steps up to this one: what a reload goes back to.
  double productive_seconds = 0;
  int64_t tokens = 0;
};
CheckpointEntry entry_of(const Manifest& manifest);

class CheckpointCatalog {
 public:
  // How many ranges (part files) make a checkpoint of this job complete.
  explicit CheckpointCatalog(size_t ranges = 1) : ranges_(ranges) {}

  enum class Part { kWaiting, kComplete, kAlreadyCommitted, kContradiction };
  // The caller has already fenced: `generation` is the job's current one. kContradiction: the same file was reported
  // with other content, or the part disagrees with the checkpoint's other parts; it is not taken.
  Part add_part(Generation generation, Step step, const PartSaved& part);
  // The parts of a step that has become complete, in order of their files.
  std::vector<PartSaved> parts(Step step) const;
  // The manifest of `entry` is durable. Replaces an older entry of the step.
  void commit(CheckpointEntry entry);
  // A new generation: parts of the older one can no longer complete.
  void forget_pending() { pending_.clear(); }
  void mark(Step step, CheckpointState state, const std::string& reason);
  void set_totals(Step step, double productive_seconds, int64_t tokens);
  void remove(Step step) { entries_.erase(step); }

  // Newest first, without the damaged ones: what a worker is told to load from.
  std::vector<Step> loadable() const;
  const CheckpointEntry* newest() const;  // undamaged; null when there is none
  const CheckpointEntry* find(Step step) const;
  const std::map<Step, CheckpointEntry>& entries() const { return entries_; }
  // What may go: everything older than the keep-th newest verified checkpoint, except what one that stays names as its
  // best. Never the newest, never anything while fewer than `keep` are verified.
  std::vector<Step> removable(int64_t keep) const;

 private:
  struct Pending {
    Generation generation;
    std::map<std::string, PartSaved> parts;
  };
  size_t ranges_;
  std::map<Step, CheckpointEntry> entries_;
  std::map<Step, Pending> pending_;
};

}  // namespace strand
