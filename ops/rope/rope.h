// Rotary position embedding (Su et al., 2021), half-rotation layout (GPT-NeoX, LLaMA, OLMo):
//   for i < head_size / 2: (x_i, x_{i+h/2}) is rotated by position * theta^(-2 i / head_size).
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/matrix.h"

namespace strand {

// Rotates x ([tokens, heads * head_size], fp32 or bf16) in place. Position of row t is t % sequence. head_size even.
// `inverse` rotates by the negative angle: the backward pass. Angles are the fp32 product of the position and of
// rope_frequency, as the published implementations compute them (so published weights see the angles they were trained
// with); sines and products in fp32 or better.
void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse);

// theta^(-2 i / head_size), rounded to fp32: the angle of pair i at position 1.
float rope_frequency(float theta, int64_t i, int64_t head_size);

}  // namespace strand
