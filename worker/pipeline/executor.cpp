#include "worker/pipeline/executor.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "shared/base/check.h"
#include "shared/base/text.h"

namespace strand {
namespace {

class StageRun {
 public:
  StageRun(const PipelineSchedule& schedule, int stage, StageCompute* compute, StageLink* link, const Clock& clock,
           const ExecutorOptions& options)
      : schedule_(schedule),
        shape_(schedule.shape),
        stage_(stage),
        compute_(compute),
        link_(link),
        clock_(clock),
        options_(options),
        begin_(clock.now()) {}

  Status run(std::vector<InstructionTrace>* traces) {
    for (const Instruction& instruction : schedule_.stages[static_cast<size_t>(stage_)]) {
      STRAND_TRY(still_wanted());
      InstructionTrace trace{.instruction = instruction};
      const Time asked = clock_.now();
      STRAND_ASSIGN(const Frame input, take(instruction));
      const Time start = clock_.now();
      const Duration waited = compute_->waited();
      auto output = run_one(instruction, input);
      if (!output.ok()) return output.error().with_context(place(instruction));
      const Time end = clock_.now();
      STRAND_TRY(give(instruction, *output));
      trace.start = to_seconds(start - begin_);
      trace.wait_weights = to_seconds(compute_->waited() - waited);
      trace.compute = to_seconds(end - start) - trace.wait_weights;
      trace.wait_input = to_seconds(start - asked);
      trace.wait_room = to_seconds(clock_.now() - end);
      traces->push_back(trace);
    }
    return {};
  }

 private:
  std::string place(const Instruction& instruction) const {
    return concat("pipeline stage ", stage_, ", ", to_text(instruction));
  }
  Status still_wanted() const { return options_.still_wanted ? options_.still_wanted() : Status(); }

  Result<Frame> run_one(const Instruction& i, const Frame& input) {
    switch (i.kind) {
      case InstructionKind::kForward: return compute_->forward(i.chunk, i.micro_batch, input);
      case InstructionKind::kBackward: return compute_->backward(i.chunk, i.micro_batch, input);
      case InstructionKind::kBackwardInput: return compute_->backward_input(i.chunk, i.micro_batch, input);
      case InstructionKind::kBackwardWeight: STRAND_TRY(compute_->backward_weight(i.chunk, i.micro_batch)); break;
    }
    return Frame();
  }

  // Calls `attempt` until it says true: in slices, so that a stop is seen, and up to the time limit.
  Status wait(const Instruction& instruction, const char* what, const MessageTag& tag, int peer,
              const std::function<Result<bool>(Duration)>& attempt) {
    const Time deadline = clock_.now() + options_.wait_limit;
    while (true) {
      const Duration left = std::max(deadline - clock_.now(), Duration::zero());
      STRAND_ASSIGN(const bool done, attempt(std::min(left, options_.slice)));
      if (done) return {};
      STRAND_TRY(still_wanted());
      if (clock_.now() < deadline) continue;
      return Error(ErrorCode::kDeadline,
                   concat(place(instruction), ": waited ", format_number(to_seconds(options_.wait_limit), 1), " s ",
                          what, " ", to_text(tag), "; stage ", peer, " is away, stuck or much slower than this one"));
    }
  }

  Result<Frame> take(const Instruction& instruction) {
    const auto tag = input_of(shape_, stage_, instruction);
    if (!tag) return Frame();
    if (shape_.stages == 1) {
      auto held = handed_over_.extract(*tag);
      STRAND_CHECK(!held.empty(), to_text(*tag), " was not computed before ", to_text(instruction));
      return std::move(held.mapped());
    }
    std::optional<Frame> frame;
    STRAND_TRY(
        wait(instruction, "for", *tag, sender_of(shape_, stage_, tag->kind), [&](Duration slice) -> Result<bool> {
          STRAND_ASSIGN(frame, link_->receive(*tag, slice));
          return frame.has_value();
        }));
    return std::move(*frame);
  }

  Status give(const Instruction& instruction, const Frame& output) {
    const auto tag = output_of(shape_, stage_, instruction);
    if (!tag) return {};
    if (output.size() == 0) {
      return internal_error(concat(place(instruction), ": gave no bytes, though stage ",
                                   receiver_of(shape_, stage_, tag->kind), " needs them"));
    }
    if (shape_.stages == 1) {
      handed_over_[*tag] = output;
      return {};
    }
    return wait(instruction, "for room to send", *tag, receiver_of(shape_, stage_, tag->kind),
                [&](Duration slice) { return link_->send(*tag, output, slice); });
  }

  const PipelineSchedule& schedule_;
  const PipelineShape& shape_;
  int stage_;
  StageCompute* compute_;
  StageLink* link_;
  const Clock& clock_;
  const ExecutorOptions& options_;
  Time begin_;
  std::map<MessageTag, Frame> handed_over_;  // with one stage: from chunk to chunk
};

}  // namespace

Result<std::vector<InstructionTrace>> run_stage(const PipelineSchedule& schedule, int stage, StageCompute* compute,
                                                StageLink* link, const Clock& clock, const ExecutorOptions& options) {
  STRAND_CHECK(stage >= 0 && stage < schedule.shape.stages && (link != nullptr || schedule.shape.stages == 1));
  std::vector<InstructionTrace> traces;
  const Status status = StageRun(schedule, stage, compute, link, clock, options).run(&traces);
  if (status.ok()) return traces;
  if (link != nullptr) link->abort(status.error());
  return status.error();
}

std::vector<std::vector<double>> compute_seconds(const std::vector<std::vector<InstructionTrace>>& traces) {
  std::vector<std::vector<double>> seconds;
  for (const auto& stage : traces) {
    seconds.emplace_back();
    for (const InstructionTrace& trace : stage) seconds.back().push_back(trace.compute);
  }
  return seconds;
}

}  // namespace strand
