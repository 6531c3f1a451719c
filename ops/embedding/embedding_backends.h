// The implementations embedding.cpp chooses from. Arguments are as in embedding.h and already checked.
#pragma once

#include "ops/embedding/embedding.h"

namespace strand::reference {
void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out);
void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table);
}  // namespace strand::reference

namespace strand::cpu {
void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out);
void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table);
}  // namespace strand::cpu
