// The implementations adamw.cpp chooses from. Arguments are as in adamw.h and already checked.
#pragma once

#include "ops/adamw/adamw.h"

namespace strand::reference {
void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded);
}  // namespace strand::reference

namespace strand::cpu {
void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded);
}  // namespace strand::cpu
