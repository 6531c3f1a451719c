// Rotary position embedding (Su et al., 2021), half-rotation layout (GPT-NeoX, LLaMA, OLMo):
//   for i < head_size / 2: (x_i, x_{i+h/2}) is rotated by position * theta^(-2 i / head_size).
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// Rotates x ([tokens, heads * head_size], fp32 or bf16) in place. Position of row t is t % sequence. head_size even.
// `inverse` rotates by the negative angle: the backward pass. Angles, sines and products in fp32 or better.
void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse);

}  // namespace strand
