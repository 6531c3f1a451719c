// The checkpoints of one job: parts that workers report, what is complete, what is kept. Pure; the disk is somewhere
// else (run_directory.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
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
  // Of all steps up to this one, once all of them are recorded; 0: not yet. What a reload goes back to.
  double productive_seconds = 0;
  int64_t tokens = 0;
};
CheckpointEntry entry_of(const Manifest& manifest);

class CheckpointCatalog {
 public:
  // A generation begins: parts of older ones can no longer complete. A checkpoint is complete once each of these
  // workers has reported its part: a set, not a count.
  void expect(Generation generation, std::set<WorkerId> workers);

  enum class Part { kWaiting, kComplete, kAlreadyCommitted, kContradiction, kUnexpected };
  // kContradiction: the same worker reported another file or content, the file is another worker's, or the part
  // disagrees with the checkpoint's other parts; it is not taken. A digest of zero says nothing and contradicts
  // nothing. kUnexpected: of another generation than expect() named, or of a worker without a part in it; changes
  // nothing.
  Part add_part(Generation generation, Step step, WorkerId from, const PartSaved& part);
  // The parts of a step that has become complete, in order of their files.
  std::vector<PartSaved> parts(Step step) const;
  // What they say together: file, bytes and checksum of the first; the rest of whoever knows it.
  PartSaved merged(Step step) const;
  // The manifest of `entry` is durable. Replaces an older entry of the step, whose totals stay where it has none.
  void commit(CheckpointEntry entry);
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
  using Parts = std::map<WorkerId, PartSaved>;

  Generation generation_;
  std::set<WorkerId> expected_;
  std::map<Step, CheckpointEntry> entries_;
  std::map<Step, Parts> pending_;  // of generation_
};

}  // namespace strand
