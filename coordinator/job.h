// A job as the coordinator knows it: its state, the table of legal transitions, and the record kept in the journal.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/plan/group_member.h"
#include "shared/wire/messages.h"

namespace strand {

enum class JobState : uint8_t {
  kQueued,    // waits for its gang of workers (or for its back-off to pass)
  kStarting,  // a generation is journalled and assigned; no step reported yet
  kTraining,
  kRecovering,  // a generation after a loss, or one that grew, is journalled and assigned; it has not committed a step
                // yet
  kStopping,    // told to stop; JobRecord::target says what it becomes
  kPaused,      // by `pause`; holds no worker; `resume` queues it
  kStopped,     // by `stop` or `shutdown`, with a checkpoint; resumable
  kDone,
  kFailed,  // bad input, or given up; `resume` queues it again
  kCancelled,
};
constexpr int kJobStates = 10;

const char* job_state_name(JobState state);
std::optional<JobState> job_state_from_name(std::string_view name);
// The one table of transitions; everything else is a defect of ours.
bool transition_is_legal(JobState from, JobState to);
// done, failed, cancelled, stopped, paused: nothing will happen without a command.
bool job_is_at_rest(JobState state);
// starting, training, recovering, stopping.
bool job_holds_workers(JobState state);

// Time is accounted by state, plus two pseudo-states. Unattended: the job was said to run but no process was there to
// do it (all were killed, until the restart noticed). Evaluating: part of training, and no transition, so a coordinator
// that is killed meanwhile calls it training.
constexpr int kUnattended = kJobStates;
constexpr int kEvaluatingSlot = kJobStates + 1;
constexpr int kTimeSlots = kJobStates + 2;
const char* time_slot_name(int slot);

// Everything about a job that must survive the coordinator. Written whole, at every transition. Wall times are
// nanoseconds since 1970; 0 = not yet.
struct JobRecord {
  JobId id;
  std::string submission;  // the client's token: a repeated submit is the same job
  std::string name;
  std::string toml;  // effective job
  std::string run_directory;
  int64_t priority = 0;
  int64_t retries = 3;
  bool resumed = false;  // submitted to go on with what its run directory holds
  JobState state = JobState::kQueued;
  JobState target = JobState::kStopped;  // meaningful while stopping
  Generation generation;
  std::vector<GroupMember> members;  // of `generation`, by replica and stage; kept until the next one
  std::vector<GroupMember> leaving;  // without a place in it, until its first step: they hold what it may need
  std::vector<GroupMember> away;     // fell silent, no step since: who is heard again still holds what it may need
  bool lost = false;                 // queued because a member fell silent: that very generation may come back
  std::string numerics;              // fingerprint of the workers of the first checkpoint's generation
  int64_t submitted_wall = 0, allocated_wall = 0, entered_wall = 0;
  std::array<double, kTimeSlots> seconds{};  // until entered_wall
  int64_t restarts = 0;                      // in all, also those of generations that went on at once
  int64_t attempts = 0;                      // restarts since progress was last made
  Step best_step = 0;                        // newest committed step when the last restart was decided
  uint8_t failure = 255;                     // ErrorCode of `failed`; 255 = none
  std::string reason;                        // of the last failure or restart
  Step result_step = 0;
  std::optional<JobFinished> result;
};

constexpr int kJobRecordVersion = 2;  // 2: generations of many workers
// JSON text. Decoding: kCorrupt when damaged; kBadInput, naming both versions, when made by a newer program.
std::string encode_job_record(const JobRecord& record);
Result<JobRecord> decode_job_record(std::string_view text);

// 0 done, 2 bad input, 3 stopped or paused, 4 given up or cancelled; nothing while it is under way.
std::optional<int> job_exit_code(const JobRecord& record);

}  // namespace strand
