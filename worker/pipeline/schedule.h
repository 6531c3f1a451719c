// Pipeline schedules as data: for each stage, the list of instructions that it runs in order. Pure: a list follows from
// the name of the schedule and three numbers, so every worker of a replica makes the same lists by itself.
//
// A replica's model is cut into stages x chunks runs of whole blocks. Chunk c of stage s is run c * stages + s of the
// model (Narayanan et al., "Efficient large-scale language model training on GPU clusters using Megatron-LM", SC'21,
// arXiv 2104.04473, section 2.2), so a forward goes from each stage to the next, and from the last stage to the first
// one's next chunk. Sends and receives are no instructions: they follow from the lists (input_of, output_of).
//
// Every schedule adds the gradient of each parameter in rising micro batch, so all of them give the same bits.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace strand {

enum class InstructionKind {
  kForward,
  kBackward,        // gradients of input and weights together
  kBackwardInput,   // the gradient that the run before this one waits for
  kBackwardWeight,  // the rest, any time after
};

struct Instruction {
  InstructionKind kind = InstructionKind::kForward;
  int chunk = 0;        // of the stage, from 0
  int micro_batch = 0;  // of the replica's step, from 0: its lanes one after another
  auto operator<=>(const Instruction&) const = default;
};
// "forward of micro batch 3 (chunk 1)".
std::string to_text(const Instruction& instruction);

enum class PipelineKind {
  // All forwards, then all backwards (Huang et al., "GPipe", NeurIPS'19, arXiv 1811.06965), those in rising micro
  // batch.
  kGPipe,
  // Stage s runs stages - s - 1 forwards ahead, then one forward and one backward in turn (Narayanan et al.,
  // "PipeDream", SOSP'19, with the flush of arXiv 2006.09503, section 3.2).
  kOneForwardOneBackward,
  // The same over chunks (arXiv 2104.04473, section 2.2): a smaller bubble for more messages. Needs at least two
  // chunks,
  // and micro batches in a multiple of the stages.
  kInterleaved,
  // 1F1B with each backward split: the weights' gradient of stage s waits for s micro batches and fills the bubble at
  // the end (ZB-H1 of Qi et al., "Zero bubble pipeline parallelism", ICLR'24, arXiv 2401.10241, section 2.1).
  kZeroBubbleH1,
};
inline constexpr PipelineKind kPipelineKinds[] = {PipelineKind::kGPipe, PipelineKind::kOneForwardOneBackward,
                                                  PipelineKind::kInterleaved, PipelineKind::kZeroBubbleH1};
// As parallel.schedule names them: "gpipe", "1f1b", "interleaved", "zb-h1".
const char* pipeline_kind_name(PipelineKind kind);
// Bad input for another name.
Result<PipelineKind> parse_pipeline_kind(const std::string& name);

struct PipelineShape {
  int stages = 1;
  int chunks = 1;         // runs of blocks that each stage holds
  int micro_batches = 1;  // of one replica in one step: its lanes x micro batches per lane

  int runs() const { return stages * chunks; }
  int run_of(int stage, int chunk) const { return chunk * stages + stage; }
  auto operator<=>(const PipelineShape&) const = default;
};

struct PipelineSchedule {
  PipelineShape shape;
  std::vector<std::vector<Instruction>> stages;  // [stage][position]
};

// Bad input, with the mend: a number below 1, chunks where the schedule has none, or micro batches that are no multiple
// of the stages (interleaved).
Result<PipelineSchedule> make_schedule(PipelineKind kind, const PipelineShape& shape);

// Forwards alone, as an evaluation needs them; any number of micro batches.
PipelineSchedule make_forward_schedule(const PipelineShape& shape);

// The most micro batches that each chunk of a stage keeps at a time: from their forward to the end of their last
// gradient.
std::vector<size_t> slots_of_chunks(const PipelineSchedule& schedule, int stage);

// What every list must hold, whoever wrote it: each (chunk, micro batch) once forward and once backward, whole or as
// input before weights; each chunk's weight gradients in rising micro batch; and on each link, messages taken in the
// order in which they are sent. An internal error names the stage and instruction. Says nothing of deadlock: simulate.
Status check_schedule(const PipelineSchedule& schedule);

// What crosses a link. Activations go to the next stage, gradients to the one before; both are rings.
enum class MessageKind { kActivation, kGradient };
struct MessageTag {
  MessageKind kind = MessageKind::kActivation;
  int chunk = 0;  // of the receiver
  int micro_batch = 0;
  auto operator<=>(const MessageTag&) const = default;
};
// "the activation of micro batch 3 (chunk 1)".
std::string to_text(const MessageTag& tag);
// The stage that a message of this kind goes to from `stage`; with one stage, itself.
int receiver_of(const PipelineShape& shape, int stage, MessageKind kind);
int sender_of(const PipelineShape& shape, int stage, MessageKind kind);
// What an instruction takes before it runs, and sends after. Nothing for the model's first run forward and last run
// backward, for the last run forward and the first backward, and for gradients of weights.
std::optional<MessageTag> input_of(const PipelineShape& shape, int stage, const Instruction& instruction);
std::optional<MessageTag> output_of(const PipelineShape& shape, int stage, const Instruction& instruction);

}  // namespace strand
