// What a pipeline schedule costs, computed from its lists: when each instruction runs, bubble, memory, or the deadlock.
// Pure. Stages run their lists in order; an instruction starts when its stage is free and its message is there.
//
// Stages that wait for bounded queues in a fixed order form a Kahn process network: whether one of them waits for ever
// depends on the lists and the buffers only, never on the times (Kahn, IFIP'74). One simulation is a proof.
//
// Bubbles that the tests compare with, for p stages, m micro batches, v chunks, and F, B, W the seconds of forward,
// input gradient and weight gradient of one micro batch through a whole stage, without link time. A bubble is the time
// that a stage is idle between the start of the first stage and the end of the last:
//   GPipe, 1F1B    (p - 1)(F + B + W), (p - 1) / m of the work        arXiv 1811.06965 section 2.3, 2104.04473
//   section 2.2 interleaved    (p - 1)(F + B + W) / v, (p - 1) / (m v) of the work    arXiv 2104.04473 section 2.2
//   ZB-H1          (p - 1)(F + B - W) for m >= p, W <= F and W <= B      arXiv 2401.10241 table 2
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "worker/pipeline/schedule.h"
#include "worker/pipeline/stage_link.h"

namespace strand {

// Seconds of each instruction: [stage][position in its list].
using InstructionSeconds = std::vector<std::vector<double>>;

// Of one chunk and micro batch.
struct KindSeconds {
  double forward = 1;
  double backward = 2;  // whole
  double backward_input = 1;
  double backward_weight = 1;

  double of(InstructionKind kind) const;
};
InstructionSeconds uniform_seconds(const PipelineSchedule& schedule, const KindSeconds& seconds);
// What `seconds` says of each (stage, instruction): a stage's or a chunk's own times.
InstructionSeconds spread_seconds(const PipelineSchedule& schedule,
                                  const std::function<double(int, const Instruction&)>& seconds);

// A message arrives `seconds` after it was sent, and as long after a message was taken its sender knows of the room. At
// most `buffers` messages of a kind are on their way to a stage or held there. Sending takes a stage no time, but
// without room it waits.
struct LinkModel {
  double seconds = 0;
  int buffers = kLinkBuffers;
};

struct StageCost {
  double busy = 0, idle = 0;  // seconds; idle up to the end of the last stage
  // Most micro batches (each of one chunk) between their forward and the end of their last gradient: what the stage
  // keeps in memory.
  int peak_live = 0;
  // The same up to the input gradient only: after it, what the input gradient alone needs is free.
  int peak_awaiting_input_gradient = 0;
};

// Where a stage stands for ever.
struct StageWait {
  int stage = 0;
  Instruction instruction;
  MessageTag message;
  bool sending = false;  // waits for room, else for the message
};

struct Simulation {
  double makespan = 0;
  std::vector<StageCost> stages;
  std::vector<std::vector<double>> starts;  // [stage][position], seconds
  std::vector<StageWait> deadlock;          // empty: every list was run to its end. Else all above is of no use

  // Idle seconds of the stage with the most work: makespan - its busy time.
  double bubble_seconds() const;
  // bubble_seconds / that stage's work (some publications divide by the makespan instead).
  double bubble_of_work() const;
  // "stage 0: backward of micro batch 0 (chunk 0) waits for the gradient of ...; stage 1: ...". Empty without one.
  std::string deadlock_text() const;
};

// An internal error when check_schedule finds one or `seconds` does not fit the lists; bad input for fewer than one
// buffer or a time that is negative or not finite.
Result<Simulation> simulate(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const LinkModel& link);

// A drawing, one line a stage, `unit` seconds a cell: F3 forward, B3 backward, I3 input and W3 weight gradient of micro
// batch 3, one ' for each chunk above the first, = while it goes on, . for idle.
std::string draw(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const Simulation& simulation,
                 double unit);

}  // namespace strand
