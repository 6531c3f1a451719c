// One worker's place in a generation of a job: what the coordinator journals, Assign carries and plans are made from.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "shared/base/ids.h"

namespace strand {

struct GroupMember {
  WorkerId worker;
  Incarnation incarnation;  // of the process: another one of the same worker is not meant
  int32_t replica = 0;      // 0 .. replicas - 1 of this generation
  int32_t stage = 0;        // 0 .. stages - 1
  std::string endpoint;     // where the other members reach it; empty: nowhere yet
  auto operator<=>(const GroupMember&) const = default;
};

}  // namespace strand
