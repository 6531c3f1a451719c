// Identifiers that do not mix. WorkerId is for ever; a worker index is only within a generation.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace strand {

template <class Tag>
struct StrongId {
  uint64_t value = 0;
  auto operator<=>(const StrongId&) const = default;
};

using JobId = StrongId<struct JobIdTag>;              // 1, 2, ... in order of submission; 0 is none
using WorkerId = StrongId<struct WorkerIdTag>;        // random, kept by the worker's process for ever; 0 is none
using Generation = StrongId<struct GenerationTag>;    // of a job's membership; journalled before use
using Incarnation = StrongId<struct IncarnationTag>;  // of a process: wall-clock nanoseconds at its start

using Step = int64_t;  // optimizer updates done; step 0 is the initial weights

}  // namespace strand

template <class Tag>
struct std::hash<strand::StrongId<Tag>> {
  size_t operator()(strand::StrongId<Tag> id) const noexcept { return std::hash<uint64_t>()(id.value); }
};
