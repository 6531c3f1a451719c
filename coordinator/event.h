// What happens to the coordinator, and what it decides. The daemon performs actions in order and feeds results back as
// events; the tests do the same without a disk, a network or a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/recorded_steps.h"
#include "shared/wire/manifest.h"
#include "shared/wire/messages.h"

namespace strand {

// --- events ---------------------------------------------------------------------------------------------------------
struct TimePassed {};
struct MessageArrived {
  std::string peer;  // routing id of the sender
  WireMessage message;
};
// The transport knows of no connection of this peer (or its queue is full): its process may be gone.
struct SendFailed {
  std::string peer;
};
struct UndecodableArrived {};  // bytes that are no message of ours; dropped and counted
struct DamagedCheckpoint {
  Step step = 0;
  std::string reason;
};
// Answer to PrepareRun. On failure `status` says why and the rest is empty.
struct RunPrepared {
  JobId job;
  Generation generation;  // of the PrepareRun
  bool create = false;    // as in the PrepareRun
  Status status;
  std::string token;
  std::vector<Manifest> manifests;  // readable, with all parts present in the right size; in order of steps
  std::vector<DamagedCheckpoint> damaged;
  RecordedSteps recorded;
};
struct ManifestWritten {
  JobId job;
  Generation generation;
  Step step = 0;
  Status status;
};
struct CheckpointVerified {
  JobId job;
  Generation generation;  // of the manifest that was verified
  Step step = 0;
  Status status;
};
using CoordinatorEvent = std::variant<TimePassed, MessageArrived, SendFailed, UndecodableArrived, RunPrepared,
                                      ManifestWritten, CheckpointVerified>;

// --- actions --------------------------------------------------------------------------------------------------------
struct JournalEntry {
  std::string key;
  std::optional<std::string> value;  // nothing: remove the key
};
// One synced batch. Always the first action; when it fails nothing after it may happen and the coordinator ends.
struct WriteJournal {
  std::vector<JournalEntry> entries;
};
// At most once: a lost message is repeated by whoever needs it. SendFailed when the peer is known to be away.
struct SendMessage {
  std::string peer;
  WireMessage message;
};
// Look at the run directory; with `create` make it, write token and job.toml, and clear away checkpoints that never
// got a manifest. Answer: RunPrepared.
struct PrepareRun {
  JobId job;
  Generation generation;
  std::string run_directory;
  std::string toml;
  bool create = false;
};
// Durable, then ManifestWritten.
struct WriteManifest {
  JobId job;
  std::string run_directory;
  Manifest manifest;
};
struct RemoveCheckpoint {
  std::string run_directory;
  Step step = 0;
};
// Reads every byte of the parts in the background; answer: CheckpointVerified.
struct VerifyCheckpoint {
  JobId job;
  Generation generation;
  std::string run_directory;
  Step step = 0;
};
struct RecordStep {
  JobId job;
  std::string run_directory;
  Generation generation;
  Step step = 0;
  int64_t wall_nanoseconds = 0;
  StepReport report;
  JobTotals totals;
};
struct StopDaemon {};
using CoordinatorAction = std::variant<WriteJournal, SendMessage, PrepareRun, WriteManifest, RemoveCheckpoint,
                                       VerifyCheckpoint, RecordStep, StopDaemon>;

}  // namespace strand
