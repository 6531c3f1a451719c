// Text from a causal model: prompts in, tokens out, by sampling or the likeliest token each time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/inference/model_runner.h"

namespace strand {

struct SamplingOptions {
  bool greedy = false;     // the likeliest token; of equally likely ones the smallest id
  double temperature = 1;  // logits are divided by it; > 0
  int64_t top_k = 0;       // only the k likeliest tokens; 0: all
  double top_p = 1;  // of these the likeliest whose probabilities reach p together (Holtzman et al., 2020); (0, 1]
  uint64_t seed = 1;
  std::vector<bool> never = {};  // ids that are not chosen; empty: all may be
};
Status check_sampling(const SamplingOptions& options);

// The token drawn for `position` of text `text`: a pure function of the logits, the options and both numbers.
int32_t sample_token(std::span<const float> logits, const SamplingOptions& options, uint64_t text, uint64_t position);

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t tokens = 100;       // to append at most
  std::vector<int32_t> stop;  // the text ends before one of these
};
enum class Ending { kStop, kTokens, kRow };  // a stop token; as many tokens as asked for; the model's longest row
struct GeneratedText {
  std::vector<int32_t> ids;  // without the prompt
  Ending ending = Ending::kTokens;
  double nats = 0;  // log-likelihood of ids under the model itself (temperature 1, nothing left out)
};

// A text for each prompt, in order; texts are numbered from 0. What one comes to does not depend on the others, nor on
// threads. `progress` is told the tokens made so far and those that may still come; false stops (kStopped).
// kBadInput for a model that cannot (CachedDecoder::supports), an empty prompt, or one that fills the longest row.
Result<std::vector<GeneratedText>> generate(ModelRunner& runner, std::span<const std::vector<int32_t>> prompts,
                                            const GenerateOptions& options,
                                            const std::function<bool(int64_t done, int64_t total)>& progress);

}  // namespace strand
