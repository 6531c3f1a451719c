#include "worker/pipeline/simulator.h"

#include <algorithm>
#include <cmath>

#include "shared/base/text.h"

namespace strand {
namespace {

// Messages of one kind from one stage, in order: check_schedule has shown that both sides agree on it.
struct Channel {
  std::vector<double> arrivals, taken;  // seconds
};

// Runs every list as far as the others let it, again and again. The order in which stages are looked at changes
// nothing: each time is the largest of times that are already known for ever.
class Simulator {
 public:
  Simulator(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const LinkModel& link)
      : schedule_(schedule), seconds_(seconds), link_(link), stages_(schedule.stages.size()) {
    for (auto& channels : channels_) channels.resize(stages_.size());
    for (const auto& list : schedule.stages) result_.starts.emplace_back(list.size(), 0.0);
  }

  Simulation run() && {
    for (bool moved = true; moved;) {
      moved = false;
      for (int stage = 0; stage < schedule_.shape.stages; ++stage) {
        while (advance(stage)) moved = true;
      }
    }
    for (int stage = 0; stage < schedule_.shape.stages; ++stage) {
      const StageState& state = stages_[static_cast<size_t>(stage)];
      if (state.position < list(stage).size()) result_.deadlock.push_back(wait_of(stage));
      result_.makespan = std::max(result_.makespan, state.free);
    }
    for (int stage = 0; stage < schedule_.shape.stages; ++stage) result_.stages.push_back(cost_of(stage));
    return std::move(result_);
  }

 private:
  struct StageState {
    size_t position = 0;
    double free = 0;    // when the stage's last instruction, or its wait for room, ended
    bool done = false;  // the instruction at `position` has run and waits for room to send
  };

  const std::vector<Instruction>& list(int stage) const { return schedule_.stages[static_cast<size_t>(stage)]; }
  Channel& channel(MessageKind kind, int sender) {
    return channels_[kind == MessageKind::kActivation ? 0 : 1][static_cast<size_t>(sender)];
  }
  // With one stage, its next chunk takes what the one before has left.
  bool by_itself() const { return schedule_.shape.stages == 1; }

  // One part of the stage's next instruction; false when it has to wait, or nothing is left.
  bool advance(int stage) {
    StageState& state = stages_[static_cast<size_t>(stage)];
    if (state.position == list(stage).size()) return false;
    const Instruction& instruction = list(stage)[state.position];
    if (!state.done) {
      if (!take_input(stage, instruction, &state.free)) return false;
      result_.starts[static_cast<size_t>(stage)][state.position] = state.free;
      state.free += seconds_[static_cast<size_t>(stage)][state.position];
      state.done = true;
    }
    if (!send_output(stage, instruction, &state.free)) return false;
    state.done = false;
    ++state.position;
    return true;
  }

  bool take_input(int stage, const Instruction& instruction, double* now) {
    const auto tag = input_of(schedule_.shape, stage, instruction);
    if (!tag) return true;
    Channel& from = channel(tag->kind, sender_of(schedule_.shape, stage, tag->kind));
    if (from.taken.size() == from.arrivals.size()) return false;
    *now = std::max(*now, from.arrivals[from.taken.size()]);
    from.taken.push_back(*now);
    return true;
  }

  bool send_output(int stage, const Instruction& instruction, double* now) {
    const auto tag = output_of(schedule_.shape, stage, instruction);
    if (!tag) return true;
    Channel& to = channel(tag->kind, stage);
    const auto buffers = static_cast<size_t>(link_.buffers);
    if (!by_itself() && to.arrivals.size() >= buffers) {
      const size_t leaves = to.arrivals.size() - buffers;
      if (leaves >= to.taken.size()) return false;
      *now = std::max(*now, to.taken[leaves] + link_.seconds);
    }
    to.arrivals.push_back(by_itself() ? *now : *now + link_.seconds);
    return true;
  }

  StageWait wait_of(int stage) const {
    const StageState& state = stages_[static_cast<size_t>(stage)];
    const Instruction& instruction = list(stage)[state.position];
    const auto tag =
        state.done ? output_of(schedule_.shape, stage, instruction) : input_of(schedule_.shape, stage, instruction);
    return {stage, instruction, *tag, state.done};
  }

  StageCost cost_of(int stage) const {
    StageCost cost;
    int live = 0, awaiting = 0;
    for (const Instruction& instruction : list(stage)) {
      switch (instruction.kind) {
        case InstructionKind::kForward: ++live, ++awaiting; break;
        case InstructionKind::kBackward: --live, --awaiting; break;
        case InstructionKind::kBackwardInput: --awaiting; break;
        case InstructionKind::kBackwardWeight: --live; break;
      }
      cost.peak_live = std::max(cost.peak_live, live);
      cost.peak_awaiting_input_gradient = std::max(cost.peak_awaiting_input_gradient, awaiting);
    }
    for (const double seconds : seconds_[static_cast<size_t>(stage)]) cost.busy += seconds;
    cost.idle = result_.makespan - cost.busy;
    return cost;
  }

  const PipelineSchedule& schedule_;
  const InstructionSeconds& seconds_;
  const LinkModel& link_;
  std::vector<StageState> stages_;
  std::vector<Channel> channels_[2];  // activations, gradients; [sender]
  Simulation result_;
};

Status check_times(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const LinkModel& link) {
  if (link.buffers < 1) return bad_input(concat("a pipeline link needs at least one buffer, found ", link.buffers));
  const auto legal = [](double time) { return std::isfinite(time) && time >= 0; };
  bool all_legal = legal(link.seconds), fit = seconds.size() == schedule.stages.size();
  for (size_t stage = 0; fit && stage < seconds.size(); ++stage) {
    fit = seconds[stage].size() == schedule.stages[stage].size();
    all_legal = all_legal && std::all_of(seconds[stage].begin(), seconds[stage].end(), legal);
  }
  if (!fit) return internal_error("pipeline simulator: expected one time for each instruction of each stage");
  if (!all_legal) return bad_input("pipeline simulator: expected times that are finite and not negative");
  return {};
}

}  // namespace

double KindSeconds::of(InstructionKind kind) const {
  switch (kind) {
    case InstructionKind::kForward: return forward;
    case InstructionKind::kBackward: return backward;
    case InstructionKind::kBackwardInput: return backward_input;
    case InstructionKind::kBackwardWeight: return backward_weight;
  }
  return 0;
}

InstructionSeconds uniform_seconds(const PipelineSchedule& schedule, const KindSeconds& seconds) {
  return spread_seconds(schedule, [&](int, const Instruction& instruction) { return seconds.of(instruction.kind); });
}

InstructionSeconds spread_seconds(const PipelineSchedule& schedule,
                                  const std::function<double(int, const Instruction&)>& seconds) {
  InstructionSeconds all;
  for (size_t stage = 0; stage < schedule.stages.size(); ++stage) {
    all.emplace_back();
    for (const Instruction& instruction : schedule.stages[stage]) {
      all.back().push_back(seconds(static_cast<int>(stage), instruction));
    }
  }
  return all;
}

double Simulation::bubble_seconds() const {
  double idle = makespan;
  for (const StageCost& stage : stages) idle = std::min(idle, stage.idle);
  return idle;
}

double Simulation::bubble_of_work() const {
  return bubble_seconds() / (makespan - bubble_seconds());
}

std::string Simulation::deadlock_text() const {
  std::vector<std::string> parts;
  for (const StageWait& wait : deadlock) {
    parts.push_back(concat("stage ", wait.stage, ": ", to_text(wait.instruction), " waits ",
                           wait.sending ? "for room to send " : "for ", to_text(wait.message)));
  }
  return join(parts, "; ");
}

Result<Simulation> simulate(const PipelineSchedule& schedule, const InstructionSeconds& seconds,
                            const LinkModel& link) {
  STRAND_TRY(check_schedule(schedule));
  STRAND_TRY(check_times(schedule, seconds, link));
  return Simulator(schedule, seconds, link).run();
}

std::string draw(const PipelineSchedule& schedule, const InstructionSeconds& seconds, const Simulation& simulation,
                 double unit) {
  const auto cells_of = [&](double time) { return static_cast<size_t>(std::llround(time / unit)); };
  const size_t cells = cells_of(simulation.makespan);
  size_t width = 3;
  for (int m = schedule.shape.micro_batches - 1; m >= 10; m /= 10) ++width;
  width += static_cast<size_t>(schedule.shape.chunks - 1);
  std::string text;
  for (size_t stage = 0; stage < schedule.stages.size(); ++stage) {
    std::vector<std::string> line(cells, ".");
    for (size_t i = 0; i < schedule.stages[stage].size(); ++i) {
      const Instruction& instruction = schedule.stages[stage][i];
      const size_t begin = cells_of(simulation.starts[stage][i]);
      const size_t end = std::min(cells, begin + cells_of(seconds[stage][i]));
      for (size_t cell = begin; cell < end; ++cell) line[cell] = "=";
      if (begin < end) {
        line[begin] = concat("FBIW"[static_cast<size_t>(instruction.kind)], instruction.micro_batch,
                             std::string(static_cast<size_t>(instruction.chunk), '\''));
      }
    }
    text += concat("stage ", stage, "  ");
    for (size_t cell = 0; cell < cells; ++cell) {
      text += line[cell];
      if (cell + 1 < cells) text += std::string(width - line[cell].size(), ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace strand
