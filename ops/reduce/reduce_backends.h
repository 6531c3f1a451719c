// The implementations reduce.cpp chooses from. Arguments are as in reduce.h and already checked.
#pragma once

#include "ops/reduce/reduce.h"

namespace strand::reference {
void sum_rows(const OpContext& context, ConstMatrix x, float* out);
void sum_squares_by_block(const OpContext& context, const float* x, int64_t n, double* partial);
void add(const OpContext& context, const float* from, int64_t n, float* into);
}  // namespace strand::reference

namespace strand::cpu {
void sum_rows(const OpContext& context, ConstMatrix x, float* out);
void sum_squares_by_block(const OpContext& context, const float* x, int64_t n, double* partial);
void add(const OpContext& context, const float* from, int64_t n, float* into);
}  // namespace strand::cpu
