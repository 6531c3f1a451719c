// Token embedding: out[t] = scale * table[id[t]].
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// ids: `tokens` values in [0, table.rows); table fp32 or bf16 [V, d]; out fp32 [tokens, d].
void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out);
// d_table (fp32 [V, d]) += scale * d_out rows, in token order within each id.
void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table);

}  // namespace strand
