// The implementations rope.cpp chooses from. Arguments are as in rope.h and already checked.
#pragma once

#include "ops/rope/rope.h"

namespace strand::reference {
void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse);
}  // namespace strand::reference

namespace strand::cpu {
void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse);
}  // namespace strand::cpu
