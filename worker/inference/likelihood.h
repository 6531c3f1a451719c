// Likelihoods of sequences under a model, in nats.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/inference/model_runner.h"

namespace strand {

struct RowLikelihood {
  double nats = 0;    // sum of the logarithms of the probabilities
  int64_t begin = 0;  // of the first token that counts: a causal model does not predict a row's token 0
};

// Causal models: sum over the sequence's own tokens i >= 1 of log p(t_i | t_0 .. t_(i-1)). Special tokens are
// conditioned on and do not count.
Result<std::vector<RowLikelihood>> causal_likelihood(ModelRunner& runner, std::span<const TokenRow> rows);

// Masked models, pseudo-likelihood (Salazar et al., 2020): sum over the sequence's own tokens of log p(t_i | the rest),
// each with that token alone under the mask.
Result<std::vector<RowLikelihood>> pseudo_likelihood(ModelRunner& runner, std::span<const TokenRow> rows,
                                                     int32_t mask_id);

// Masked models: log p(alternative) - log p(reference) at `position` of a row, under the mask there.
struct MaskedChoice {
  int64_t position = 0;  // in row.ids
  int32_t reference = 0, alternative = 0;
};
Result<std::vector<double>> masked_log_ratios(ModelRunner& runner, std::span<const TokenRow> rows,
                                              std::span<const MaskedChoice> choices, int32_t mask_id);

}  // namespace strand
