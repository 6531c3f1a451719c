#include "worker/pipeline/schedule.h"

#include <algorithm>
#include <limits>

#include "shared/base/text.h"

namespace strand {
namespace {

using List = std::vector<Instruction>;

List gpipe(const PipelineShape& shape) {
  List list;
  for (int m = 0; m < shape.micro_batches; ++m) list.push_back({InstructionKind::kForward, 0, m});
  for (int m = 0; m < shape.micro_batches; ++m) list.push_back({InstructionKind::kBackward, 0, m});
  return list;
}

List one_forward_one_backward(const PipelineShape& shape, int stage) {
  const int ahead = std::min(shape.stages - stage - 1, shape.micro_batches);
  List list;
  for (int m = 0; m < ahead; ++m) list.push_back({InstructionKind::kForward, 0, m});
  for (int m = 0; m < shape.micro_batches; ++m) {
    if (m + ahead < shape.micro_batches) list.push_back({InstructionKind::kForward, 0, m + ahead});
    list.push_back({InstructionKind::kBackward, 0, m});
  }
  return list;
}

// A stage that runs p - s - 1 forwards ahead and s gradients of weights behind holds p micro batches: on every stage
// the same number, that of 1F1B's first stage.
List zero_bubble_h1(const PipelineShape& shape, int stage) {
  List list;
  for (const Instruction& i : one_forward_one_backward(shape, stage)) {
    if (i.kind == InstructionKind::kForward) {
      list.push_back(i);
      continue;
    }
    list.push_back({InstructionKind::kBackwardInput, 0, i.micro_batch});
    if (i.micro_batch >= stage) list.push_back({InstructionKind::kBackwardWeight, 0, i.micro_batch - stage});
  }
  for (int m = std::max(0, shape.micro_batches - stage); m < shape.micro_batches; ++m) {
    list.push_back({InstructionKind::kBackwardWeight, 0, m});
  }
  return list;
}

// Micro batches go in groups of `stages`: chunk 0 of a group, chunk 1, ..., then the next group.
Instruction interleaved_forward(const PipelineShape& shape, int k) {
  const int in_group = k % shape.runs();
  return {InstructionKind::kForward, in_group / shape.stages,
          k / shape.runs() * shape.stages + in_group % shape.stages};
}

List interleaved(const PipelineShape& shape, int stage) {
  const int total = shape.micro_batches * shape.chunks;
  const int ahead = std::min(2 * (shape.stages - stage - 1) + (shape.chunks - 1) * shape.stages, total);
  List list;
  for (int k = 0; k < ahead; ++k) list.push_back(interleaved_forward(shape, k));
  for (int k = 0; k < total; ++k) {
    if (k + ahead < total) list.push_back(interleaved_forward(shape, k + ahead));
    Instruction backward = interleaved_forward(shape, k);
    backward.kind = InstructionKind::kBackward;
    backward.chunk = shape.chunks - 1 - backward.chunk;
    list.push_back(backward);
  }
  return list;
}

Status check_shape(PipelineKind kind, const PipelineShape& shape) {
  if (shape.stages < 1 || shape.chunks < 1 || shape.micro_batches < 1) {
    return bad_input(concat("a pipeline needs at least one stage, chunk and micro batch, found ", shape.stages, ", ",
                            shape.chunks, " and ", shape.micro_batches));
  }
  const int64_t forwards = int64_t{shape.chunks} * shape.micro_batches;
  if (forwards > std::numeric_limits<int>::max() / 4 ||
      int64_t{shape.stages} * shape.chunks > std::numeric_limits<int>::max() / 4) {
    return bad_input(concat("a pipeline of ", shape.stages, " stages, ", shape.chunks, " chunks and ",
                            shape.micro_batches, " micro batches is too large; lower one of them"));
  }
  if (kind != PipelineKind::kInterleaved) {
    if (shape.chunks == 1) return {};
    return bad_input(concat("parallel.chunks: schedule \"", pipeline_kind_name(kind), "\" has one chunk, found ",
                            shape.chunks, "; set it to 1, or parallel.schedule to \"interleaved\""));
  }
  if (shape.chunks == 1) {
    return bad_input(
        "parallel.chunks: schedule \"interleaved\" needs at least 2, found 1; raise it, or set parallel.schedule to "
        "\"1f1b\", which is the same with one chunk");
  }
  if (shape.micro_batches % shape.stages != 0) {
    return bad_input(
        concat("schedule \"interleaved\" needs micro batches of a replica (its lanes x "
               "train.micro_batches_per_lane) in a multiple of parallel.stages, found ",
               shape.micro_batches, " over ", shape.stages,
               " stages; change one of them, or set parallel.schedule to \"1f1b\""));
  }
  return {};
}

List stage_list(PipelineKind kind, const PipelineShape& shape, int stage) {
  switch (kind) {
    case PipelineKind::kGPipe: return gpipe(shape);
    case PipelineKind::kOneForwardOneBackward: return one_forward_one_backward(shape, stage);
    case PipelineKind::kInterleaved: return interleaved(shape, stage);
    case PipelineKind::kZeroBubbleH1: return zero_bubble_h1(shape, stage);
  }
  return {};
}

std::string place(int stage, const Instruction& instruction) {
  return concat("pipeline schedule: stage ", stage, ": ", to_text(instruction));
}

// One stage's list: every piece of work once, in an order that a stage can run.
Status check_list(const PipelineShape& shape, int stage, const List& list) {
  enum Done { kNothing, kForwarded, kInputDone, kAll };
  std::vector<std::vector<Done>> done(static_cast<size_t>(shape.chunks),
                                      std::vector<Done>(static_cast<size_t>(shape.micro_batches), kNothing));
  std::vector<int> next_weights(static_cast<size_t>(shape.chunks), 0);
  for (const Instruction& i : list) {
    if (i.chunk < 0 || i.chunk >= shape.chunks || i.micro_batch < 0 || i.micro_batch >= shape.micro_batches) {
      return internal_error(concat(place(stage, i), ": there are ", shape.chunks, " chunks and ", shape.micro_batches,
                                   " micro batches, both from 0"));
    }
    const bool forward = i.kind == InstructionKind::kForward, input = i.kind == InstructionKind::kBackwardInput;
    const Done before = forward ? kNothing : i.kind == InstructionKind::kBackwardWeight ? kInputDone : kForwarded;
    Done& state = done[static_cast<size_t>(i.chunk)][static_cast<size_t>(i.micro_batch)];
    if (state != before) return internal_error(concat(place(stage, i), ": comes twice, or before what it needs"));
    state = forward ? kForwarded : input ? kInputDone : kAll;
    if (forward || input) continue;
    int& next = next_weights[static_cast<size_t>(i.chunk)];
    if (i.micro_batch != next) {
      return internal_error(concat(place(stage, i), ": gradients of weights are added in rising micro batch, expected ",
                                   "micro batch ", next));
    }
    ++next;
  }
  for (const int count : next_weights) {
    if (count != shape.micro_batches) {
      return internal_error(concat("pipeline schedule: stage ", stage, ": ", count, " of ", shape.micro_batches,
                                   " micro batches get to the end"));
    }
  }
  return {};
}

}  // namespace

std::string to_text(const Instruction& instruction) {
  const char* kind = "forward";
  if (instruction.kind == InstructionKind::kBackward) kind = "backward";
  if (instruction.kind == InstructionKind::kBackwardInput) kind = "input gradient";
  if (instruction.kind == InstructionKind::kBackwardWeight) kind = "weight gradient";
  return concat(kind, " of micro batch ", instruction.micro_batch, " (chunk ", instruction.chunk, ")");
}

std::string to_text(const MessageTag& tag) {
  return concat(tag.kind == MessageKind::kActivation ? "the activation" : "the gradient", " of micro batch ",
                tag.micro_batch, " (chunk ", tag.chunk, ")");
}

const char* pipeline_kind_name(PipelineKind kind) {
  switch (kind) {
    case PipelineKind::kGPipe: return "gpipe";
    case PipelineKind::kOneForwardOneBackward: return "1f1b";
    case PipelineKind::kInterleaved: return "interleaved";
    case PipelineKind::kZeroBubbleH1: return "zb-h1";
  }
  return "unknown";
}

Result<PipelineKind> parse_pipeline_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const PipelineKind kind : kPipelineKinds) {
    if (name == pipeline_kind_name(kind)) return kind;
    names.push_back(concat('"', pipeline_kind_name(kind), '"'));
  }
  return bad_input(concat("parallel.schedule: expected one of ", join(names, ", "), ", found \"", name, '"'));
}

Result<PipelineSchedule> make_schedule(PipelineKind kind, const PipelineShape& shape) {
  STRAND_TRY(check_shape(kind, shape));
  PipelineSchedule schedule{shape, {}};
  for (int stage = 0; stage < shape.stages; ++stage) schedule.stages.push_back(stage_list(kind, shape, stage));
  return schedule;
}

// In groups of `stages`, so that a stage has other micro batches to do while one goes round.
PipelineSchedule make_forward_schedule(const PipelineShape& shape) {
  List list;
  for (int first = 0; first < shape.micro_batches; first += shape.stages) {
    const int end = std::min(first + shape.stages, shape.micro_batches);
    for (int chunk = 0; chunk < shape.chunks; ++chunk) {
      for (int m = first; m < end; ++m) list.push_back({InstructionKind::kForward, chunk, m});
    }
  }
  return {shape, std::vector<List>(static_cast<size_t>(shape.stages), list)};
}

std::vector<size_t> slots_of_chunks(const PipelineSchedule& schedule, int stage) {
  std::vector<size_t> most(static_cast<size_t>(schedule.shape.chunks)), kept = most;
  for (const Instruction& i : schedule.stages[static_cast<size_t>(stage)]) {
    const auto chunk = static_cast<size_t>(i.chunk);
    if (i.kind == InstructionKind::kForward) most[chunk] = std::max(most[chunk], ++kept[chunk]);
    if (i.kind == InstructionKind::kBackward || i.kind == InstructionKind::kBackwardWeight) --kept[chunk];
  }
  return most;
}

Status check_schedule(const PipelineSchedule& schedule) {
  const PipelineShape& shape = schedule.shape;
  if (schedule.stages.size() != static_cast<size_t>(shape.stages)) {
    return internal_error(
        concat("pipeline schedule: ", schedule.stages.size(), " lists for ", shape.stages, " stages"));
  }
  for (int stage = 0; stage < shape.stages; ++stage) {
    STRAND_TRY(check_list(shape, stage, schedule.stages[static_cast<size_t>(stage)]));
  }
  for (int stage = 0; stage < shape.stages; ++stage) {
    for (const MessageKind kind : {MessageKind::kActivation, MessageKind::kGradient}) {
      const int receiver = receiver_of(shape, stage, kind);
      std::vector<MessageTag> sent, taken;
      for (const Instruction& i : schedule.stages[static_cast<size_t>(stage)]) {
        const auto tag = output_of(shape, stage, i);
        if (tag && tag->kind == kind) sent.push_back(*tag);
      }
      for (const Instruction& i : schedule.stages[static_cast<size_t>(receiver)]) {
        const auto tag = input_of(shape, receiver, i);
        if (tag && tag->kind == kind) taken.push_back(*tag);
      }
      const auto [a, b] = std::mismatch(sent.begin(), sent.end(), taken.begin(), taken.end());
      if (a == sent.end() && b == taken.end()) continue;
      const auto name = [](auto it, const auto& list) { return it == list.end() ? "nothing" : to_text(*it); };
      return internal_error(concat("pipeline schedule: stage ", stage, " sends ", name(a, sent), " where stage ",
                                   receiver, " takes ", name(b, taken)));
    }
  }
  return {};
}

int receiver_of(const PipelineShape& shape, int stage, MessageKind kind) {
  return (stage + (kind == MessageKind::kActivation ? 1 : shape.stages - 1)) % shape.stages;
}

int sender_of(const PipelineShape& shape, int stage, MessageKind kind) {
  return (stage + (kind == MessageKind::kActivation ? shape.stages - 1 : 1)) % shape.stages;
}

std::optional<MessageTag> input_of(const PipelineShape& shape, int stage, const Instruction& instruction) {
  const int run = shape.run_of(stage, instruction.chunk);
  switch (instruction.kind) {
    case InstructionKind::kForward:
      if (run == 0) return std::nullopt;
      return MessageTag{MessageKind::kActivation, instruction.chunk, instruction.micro_batch};
    case InstructionKind::kBackward:
    case InstructionKind::kBackwardInput:
      if (run == shape.runs() - 1) return std::nullopt;
      return MessageTag{MessageKind::kGradient, instruction.chunk, instruction.micro_batch};
    case InstructionKind::kBackwardWeight: break;
  }
  return std::nullopt;
}

std::optional<MessageTag> output_of(const PipelineShape& shape, int stage, const Instruction& instruction) {
  const int run = shape.run_of(stage, instruction.chunk);
  switch (instruction.kind) {
    case InstructionKind::kForward:
      if (run == shape.runs() - 1) return std::nullopt;
      return MessageTag{MessageKind::kActivation, (run + 1) / shape.stages, instruction.micro_batch};
    case InstructionKind::kBackward:
    case InstructionKind::kBackwardInput:
      if (run == 0) return std::nullopt;
      return MessageTag{MessageKind::kGradient, (run - 1) / shape.stages, instruction.micro_batch};
    case InstructionKind::kBackwardWeight: break;
  }
  return std::nullopt;
}

}  // namespace strand
