// Runs one stage's list of a pipeline schedule: takes what an instruction needs, computes, sends what it gives.
#pragma once

#include <functional>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/net/transport.h"
#include "worker/pipeline/schedule.h"
#include "worker/pipeline/stage_link.h"

namespace strand {

// The seam to the model: one run of blocks for each chunk of this stage. Keeps what a backward needs from a forward,
// and knows its micro batch's rows (the first run of the model embeds them, the last computes the loss).
//
// Frames hold one micro batch's activation [tokens, hidden], or its gradient, in the stored element type. What a call
// gets it may keep (a view of the frame costs nothing); what it gives it must not write to again.
class StageCompute {
 public:
  virtual ~StageCompute() = default;

  // `input` is empty for run 0. Gives the output of the chunk's last block; an empty frame for the model's last run.
  virtual Result<Frame> forward(int chunk, int micro_batch, const Frame& input) = 0;
  // Gradients of the chunk's input and weights. `d_output` is empty for the model's last run. Gives the gradient of the
  // input; an empty frame for run 0. The weights' part is added to the lane of this micro batch.
  virtual Result<Frame> backward(int chunk, int micro_batch, const Frame& d_output) = 0;
  // The two halves of backward. The first frees what the second does not need.
  virtual Result<Frame> backward_input(int chunk, int micro_batch, const Frame& d_output) = 0;
  virtual Status backward_weight(int chunk, int micro_batch) = 0;
  // What the calls of this run have waited for weights, all together.
  virtual Duration waited() const { return Duration::zero(); }
};

struct ExecutorOptions {
  // A wait for a neighbour longer than this is an error (kDeadline). From the one hierarchy of time limits.
  Duration wait_limit = std::chrono::seconds(60);
  // Between two looks at still_wanted() while waiting.
  Duration slice = std::chrono::milliseconds(50);
  // Asked before each instruction and while waiting: an error (a stop, a newer generation) ends the step with it.
  std::function<Status()> still_wanted;
};

// When an instruction ran, and how long its stage waited: for its message, amidst for weights, for room to send.
// Seconds.
struct InstructionTrace {
  Instruction instruction;
  double start = 0;  // since run_stage began
  double compute = 0;
  double wait_input = 0;
  double wait_weights = 0;
  double wait_room = 0;
};

// One step of one stage: its whole list, in order. `link` may be null with one stage, whose chunks hand over by
// themselves. On any failure the neighbours are told (StageLink::abort) and the error is the reason: of this stage with
// its place, or as a neighbour told it.
Result<std::vector<InstructionTrace>> run_stage(const PipelineSchedule& schedule, int stage, StageCompute* compute,
                                                StageLink* link, const Clock& clock, const ExecutorOptions& options);

// The computing time of each instruction, for the simulator: [stage][position].
std::vector<std::vector<double>> compute_seconds(const std::vector<std::vector<InstructionTrace>>& traces);

}  // namespace strand
