// The implementations cast.cpp chooses from. Arguments are as in cast.h and already checked.
#pragma once

#include "ops/cast/cast.h"

namespace strand::reference {
void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to);
void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to);
}  // namespace strand::reference

namespace strand::cpu {
void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to);
void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to);
}  // namespace strand::cpu
